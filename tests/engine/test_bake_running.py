"""How a bake is run: what is measured, sent and computed twice, and a disk that is full."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from bakery.engine.training import checkpoints, needs, shown
from bakery.engine.training.metrics import Metrics
from bakery.errors import ConfigError
from bakery.identity import Running
from bakery.stages import bake, full_disk
from bakery.stages import training as phases
from bakery.store import results
from bakery.trackers import TensorBoard, Trackio, Wandb
from tests.support.baking import NOTHING, SHOUT, Bench, rows


class Crash(TrainerCallback):
    """Stops training the hard way after a number of steps."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt


def running(bench: Bench, how: Running, **changes: Any) -> dict[str, Any]:
    """Bake as `Bench.bake` does, run in some way."""
    request, data, folder = bench.prepare(SHOUT, NOTHING, 12, None, **changes)
    result = bench.train((replace(request, running=how), data, folder))
    return {**result, "bake_dir": folder}


def test_what_is_held_out_is_measured_every_few_steps(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "other", tmp_path / "model")
    plain, watched = bench.bake(), running(other, Running(eval_interval=2))
    assert watched["digest"] == plain["digest"]
    found = rows(watched)
    assert [row["step"] for row in found if "eval_kl" in row] == [2, 4]
    assert found[-1]["eval_kl"] == pytest.approx(plain["card"]["kl_after"], rel=1e-5)
    assert not any("eval_kl" in row for row in rows(plain))


def test_a_live_teacher_is_asked_while_the_student_trains(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Bench(tmp_path / "other", tmp_path / "model")
    recorded = running(other, Running(eval_interval=1))
    monkeypatch.setattr(bake, "RECORD_GB", 0.0)
    live = running(bench, Running(eval_interval=1))
    assert any("it is run at every step" in note for note in live["notes"])
    assert [row["eval_kl"] for row in rows(live)] == pytest.approx(
        [row["eval_kl"] for row in rows(recorded)], rel=1e-4
    )
    assert [row["loss"] for row in rows(live)] == pytest.approx(
        [row["loss"] for row in rows(recorded)], rel=1e-4
    )


def test_every_row_holds_every_series(bench: Bench) -> None:
    result = bench.bake()
    for row in rows(result):
        assert row.keys() >= {
            "step", "epoch", "loss", "learning_rate", "grad_norm", "tokens", "seconds"
        }  # fmt: skip
        assert row["tokens"] > 0
        assert row["seconds"] > 0
    assert sum(row["tokens"] for row in rows(result)) % 2 == 0  # two epochs over the same pairs


def test_activations_that_are_computed_twice_train_the_same(bench: Bench, tmp_path: Path) -> None:
    other = Bench(tmp_path / "other", tmp_path / "model")
    twice = running(other, Running(gradient_checkpointing=True))
    assert twice["digest"] == bench.bake()["digest"]


def test_a_bake_that_was_interrupted_keeps_and_measures_the_same_steps(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how, changes = Running(eval_interval=1), {"save_every_steps": (1,), "epochs": 3}
    whole = running(Bench(tmp_path / "whole", tmp_path / "model"), how, **changes)

    class CrashingMetrics(Metrics, Crash):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", CrashingMetrics)
        with pytest.raises(KeyboardInterrupt):
            running(bench, how, **changes)
    result = running(bench, how, **changes)
    assert result["checkpoints"] == whole["checkpoints"]
    assert [row["eval_kl"] for row in rows(result)] == [row["eval_kl"] for row in rows(whole)]


FAKE_WANDB = """
import os
class Run:
    def log(self, row, step):
        said.append(["log", step, dict(row)])
    def finish(self, exit_code=0):
        said.append(["finish", exit_code])
said = []
def init(**how):
    print("from the package")
    os.system("echo from a process of its")
    said.append(["init", how])
    return Run()
"""


@pytest.fixture
def wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A package of that name which keeps what it is told."""
    (tmp_path / "wandb.py").write_text(FAKE_WANDB)
    monkeypatch.syspath_prepend(str(tmp_path))
    import importlib

    yield importlib.import_module("wandb")
    sys.modules.pop("wandb")


def test_every_row_is_sent_where_that_was_asked_for(wandb: Any, bench: Bench) -> None:
    result = running(bench, Running(wandb=Wandb("p", "n", None, ("x",))))
    (_, how), *logged, card, end = wandb.said
    assert {key: how[key] for key in ("project", "name", "entity", "tags")} == {
        "project": "p", "name": "n", "entity": None, "tags": ["x"],
    }  # fmt: skip
    assert how["config"]["epochs"] == 2
    assert [step for _, step, _ in logged] == [row["step"] for row in rows(result)]
    told = result["card"]
    assert card[2]["card/kl_after"] == told["kl_after"]
    assert {key.partition("/")[0] for key in card[2]} == {"card"}
    assert end == ["finish", 0]


def test_a_run_that_failed_is_ended_as_failed(wandb: Any, tmp_path: Path) -> None:
    def fail() -> None:
        with shown.shown(Running(wandb=Wandb("p")), tmp_path) as figures:
            figures.begin({})
            raise KeyError("stopped")

    with pytest.raises(KeyError, match="stopped"):
        fail()
    assert wandb.said[-1] == ["finish", 1]


def test_nothing_of_a_tracker_is_on_stdout(
    wandb: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with shown.shown(Running(wandb=Wandb("p")), tmp_path) as figures:
        figures.begin({})
        os.write(1, b"{}\n")
    out, err = capfd.readouterr()
    assert out == "{}\n"
    assert ("from the package" in err, "from a process of its" in err) == (True, True)


def test_no_text_of_a_card_is_sent(wandb: Any, tmp_path: Path) -> None:
    verdict = {"word": "holds", "reason": "SECRET", "figures": {"agreed": 0.5, "unasked": ["x"]}}
    card = {"kl_after": 0.5, "gap_closed": None, "furthest": [{"question": "SECRET"}],
            "anchor": True, "verdict": verdict}  # fmt: skip
    with shown.shown(Running(wandb=Wandb("p")), tmp_path) as figures:
        figures.begin({})
        figures.row({"step": 7, "loss": 1.0})
        figures.card(card)
    assert wandb.said[-2] == [
        "log", 7, {"card/kl_after": 0.5, "card/verdict/agreed": 0.5, "card/verdict": "holds"}
    ]  # fmt: skip


FAKE_TRACKIO = """
class Run:
    def log(self, row, step):
        print("noise")
        said.append([step, row])
said = []
def init(**how):
    print("noise")
    said.append(how)
    return Run()
def finish():
    print("noise")
    said.append("finish")
"""


def test_trackio_gets_the_same_and_leaves_stdout_to_our_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "trackio.py").write_text(FAKE_TRACKIO)
    monkeypatch.syspath_prepend(str(tmp_path))
    with shown.shown(Running(trackio=Trackio("p", "n")), tmp_path) as figures:
        figures.begin({"r": 4})
        figures.row({"step": 7, "loss": 1.0})
    how, row, end = sys.modules.pop("trackio").said
    assert (how["project"], how["name"], how["space_id"], how["config"]) == (
        "p", "n", None, {"r": 4}
    )  # fmt: skip
    assert (row, end) == ([7, {"loss": 1.0}], "finish")
    assert capsys.readouterr().out == ""


def test_tensorboard_gets_numbers_by_step(tmp_path: Path) -> None:
    name = "tensorboard.backend.event_processing.event_accumulator"
    read = pytest.importorskip(name).EventAccumulator
    with shown.shown(Running(tensorboard=TensorBoard("yoda")), tmp_path) as figures:
        figures.begin({})
        figures.row({"step": 7, "loss": 1.0, "phase": "on_policy"})
        figures.card({"kl_after": 0.5, "verdict": {"word": "holds"}})
    found = read(str(tmp_path / results.TENSORBOARD / "yoda")).Reload()
    assert sorted(found.Tags()["scalars"]) == ["card/kl_after", "loss"]
    assert [(one.step, one.value) for one in found.Scalars("loss")] == [(7, 1.0)]


@pytest.mark.parametrize(
    ("name", "asked"),
    [("wandb", Wandb("p")), ("trackio", Trackio("p")), ("tensorboard", TensorBoard("p"))],
)
def test_sending_without_the_package_is_refused(name: str, asked: Any) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ConfigError, match=f"BAKE.{name}.enable needs the package {name}, which"):
        needs.check(Running(**{name: asked}))


def test_an_attention_that_cannot_run_here_is_told_of_and_another_taken() -> None:
    (note,) = needs.check(Running("flash_attention_2"))
    assert "needs an NVIDIA GPU and the package flash-attn: here" in note
    assert needs.attention("flash_attention_2") is None
    assert needs.check(Running("sdpa")) == []
    assert needs.attention("sdpa") == "sdpa"


LIMITED = """
import resource, sys
from pathlib import Path
from bakery.errors import StageError
from tests.support.baking import NOTHING, SHOUT, Bench

soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in map(int, sys.argv[2:]):
    bench = Bench(Path(str(size)), Path(sys.argv[1]))
    prepared = bench.prepare(SHOUT, NOTHING, 12, None)
    base = bench.base()
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        bench.train(prepared, base)
    except StageError as error:
        print(error.message)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
"""
"""Bakes in a process whose files may not grow over some bytes."""


# Windows has no limit on the size of a file.
@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="files cannot be limited here")
def test_a_full_disk_is_said_and_the_bake_goes_on_where_it_was(
    bench: Bench, tmp_path: Path, workplace: Path
) -> None:
    sizes = [1000, 8000, 15_000, 30_000]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "model"), *map(str, sizes)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    said = (
        "the disk is full, or its quota is used up",
        "the record of the teacher cannot be written",
    )
    lines = done.stdout.splitlines()
    assert [line.startswith(said) for line in lines] == [True] * len(sizes), done.stderr
    whole = bench.bake()
    for size in sizes:
        stopped = Bench(workplace / str(size), tmp_path / "model")
        (folder,) = (stopped.root / "bake").iterdir()
        assert not (folder / "done.json").exists()
        assert not list(folder.glob(".*"))
        assert not any(checkpoints.damage(path) for path in folder.glob("checkpoints/*"))
        assert stopped.bake()["digest"] == whole["digest"]


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(28, "No space left on device"), True),
        (OSError(122, "Disk quota exceeded"), True),
        (OSError(2, "No such file or directory"), False),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("expected scalar type Half"), False),
    ],
)
def test_a_full_disk_is_known_however_it_is_said(error: Exception, full: bool) -> None:
    assert full_disk.is_full(error) is full
