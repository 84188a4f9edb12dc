"""A bake lowers the divergence, starts from its parent, and leaves a standard adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import TrainerCallback

from bakery.backends.local import LocalModel
from bakery.engine.models import adapter_folder, adapters
from bakery.engine.training.metrics import Metrics
from bakery.errors import ModelError, StageError
from bakery.identity import file_digest
from bakery.records import Prompt
from bakery.stages import training as phases
from bakery.store import results
from tests.support.baking import NOTHING, SHOUT, Bench

IDS = torch.arange(10, 30)[None]
WISE = Prompt(({"role": "system", "content": "Be wise."},))


def chain(bench: Bench, length: int) -> list[dict[str, Any]]:
    bakes: list[dict[str, Any]] = []
    for number, teacher in zip(range(length), (SHOUT, WISE, SHOUT), strict=False):
        parent = bakes[-1] if bakes else None
        bakes.append(bench.bake(teacher=teacher, parent=parent, seed=number))
    return bakes


def logits(model: torch.nn.Module) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits


def test_a_bake_brings_the_student_closer_to_the_prompted_teacher(bench: Bench) -> None:
    card = bench.bake(questions=30, epochs=6)["card"]
    assert card["kl_after"] < 0.5 * card["kl_before"]
    assert card["prompt_tokens_saved"] == len("<system\nSHOUT!>\n")


def test_teacher_equal_to_student_gives_loss_zero(bench: Bench) -> None:
    result = bench.bake(teacher=SHOUT, student=SHOUT)
    assert result["loss"]["first"] == pytest.approx(0.0, abs=1e-6)
    assert result["card"]["kl_before"] == pytest.approx(0.0, abs=1e-6)


def test_the_second_bakes_teacher_is_the_first_bake_and_not_the_base(bench: Bench) -> None:
    first = bench.bake(epochs=6)
    base = bench.base()
    student = adapters.attach_new(
        LocalModel(base, parent=first["folder"]).model,
        bench.prepare(WISE, NOTHING, 4, first)[0].training,
    )
    stock = PeftModel.from_pretrained(bench.base().model, str(first["folder"]))
    with adapters.parent_only(student):
        teacher = logits(student)
    torch.testing.assert_close(teacher, logits(stock), atol=0, rtol=0)
    assert (teacher - logits(bench.base().model)).abs().max() > 1e-2


def test_the_frozen_parent_gets_no_gradient_and_does_not_move(bench: Bench) -> None:
    first = bench.bake()
    before = file_digest(first["folder"] / adapter_folder.WEIGHTS)
    student = adapters.attach_new(
        LocalModel(bench.base(), parent=first["folder"]).model,
        bench.prepare(WISE, NOTHING, 4, first)[0].training,
    )
    student(input_ids=IDS).logits.sum().backward()
    with adapters.parent_only(student):
        pass
    for name, parameter in student.named_parameters():
        own = f".{adapters.BAKE}." in name
        assert parameter.requires_grad is own, name
        assert own or parameter.grad is None, name
    bench.bake(teacher=WISE, parent=first)
    assert file_digest(first["folder"] / adapter_folder.WEIGHTS) == before


def test_each_bake_of_a_chain_is_a_standard_adapter_on_the_root_base(bench: Bench) -> None:
    parent = None
    for teacher in (SHOUT, WISE, SHOUT):
        base = bench.base()
        result = bench.bake(teacher=teacher, parent=parent, model=base)
        stock = PeftModel.from_pretrained(bench.base().model, str(result["folder"]))
        # `base.model` carries parent and new adapter as they were when training ended.
        torch.testing.assert_close(logits(stock), logits(base.model), atol=1e-4, rtol=1e-4)
        parent = result


def test_the_slices_of_a_chain_name_each_bakes_ranks(bench: Bench) -> None:
    bakes = chain(bench, 3)
    assert [(s.bake_id, s.start, s.stop) for s in adapter_folder.slices(bakes[-1]["folder"])] == [
        (b["bake_id"], 4 * i, 4 * i + 4) for i, b in enumerate(bakes)
    ]


def test_a_bake_on_other_modules_keeps_its_parents(bench: Bench) -> None:
    first = bench.bake(target_modules=("q_proj", "v_proj"))
    base = bench.base()
    second = bench.bake(teacher=WISE, parent=first, model=base, target_modules=("down_proj",))
    stock = PeftModel.from_pretrained(bench.base().model, str(second["folder"]))
    torch.testing.assert_close(logits(stock), logits(base.model), atol=1e-4, rtol=1e-4)


def test_layers_named_by_an_expression_are_saved_by_their_names(bench: Bench) -> None:
    first = bench.bake(target_modules=r".*layers\.0\..*(q|v)_proj")
    base = bench.base()
    second = bench.bake(teacher=WISE, parent=first, model=base, target_modules=("down_proj",))
    stock = PeftModel.from_pretrained(bench.base().model, str(second["folder"]))
    torch.testing.assert_close(logits(stock), logits(base.model), atol=1e-4, rtol=1e-4)


def test_the_same_request_bakes_the_same_bytes(bench: Bench, tmp_path: Path) -> None:
    again = Bench(tmp_path / "again", tmp_path / "model")
    assert bench.bake()["digest"] == again.bake()["digest"]


class Crash(TrainerCallback):
    """Stops training the hard way after a number of steps."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 3:
            raise KeyboardInterrupt


def test_an_interrupted_bake_goes_on_and_ends_at_the_same_bytes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bench(tmp_path / "whole", tmp_path / "model").bake()

    class CrashingMetrics(Crash, Metrics):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", CrashingMetrics)
        with pytest.raises(KeyboardInterrupt):
            bench.bake()
    (checkpoint,) = (bench.root / "bake").glob("*/checkpoints/*")
    assert checkpoint.name == "checkpoint-2"
    _took(checkpoint.parents[1] / results.METRICS, 1000)
    result = bench.bake()
    assert 2000 < result["seconds"]["bake"] < 2900  # of three steps one is made again
    assert result["digest"] == whole["digest"]
    rows = (result["bake_dir"] / results.METRICS).read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows if "loss" in row] == list(
        range(1, result["step"] + 1)
    )


def _took(path: Path, seconds: float) -> None:
    """Have every step that was made have taken so long."""
    rows = [json.loads(row) | {"seconds": seconds} for row in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_metrics_hold_every_step(bench: Bench) -> None:
    result = bench.bake()
    rows = [json.loads(r) for r in (result["bake_dir"] / results.METRICS).read_text().splitlines()]
    assert [r["step"] for r in rows] == list(range(1, result["step"] + 1))
    assert result["loss"]["last"] == rows[-1]["loss"]


def test_accumulated_micro_batches_train_as_one_batch(bench: Bench, tmp_path: Path) -> None:
    request, data, _ = bench.prepare(SHOUT, NOTHING, 12, None)
    losses = []
    for micro in (8, 2):
        changed = type(request)(request.shares, request.training, request.base, None, micro)
        losses.append(bench.train((changed, data, tmp_path / str(micro)))["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_changed_answer_file_is_refused(bench: Bench) -> None:
    prepared = bench.prepare(SHOUT, NOTHING, 6, None)
    path = prepared[1][0].target_dir / "trajectories.jsonl"
    path.write_text(path.read_text().replace('"sample": 0', '"sample": 1'))
    with pytest.raises(ModelError, match="changed since it was completed"):
        bench.train(prepared)


def test_a_target_that_is_not_complete_is_refused(bench: Bench) -> None:
    prepared = bench.prepare(SHOUT, NOTHING, 6, None)
    (prepared[1][0].target_dir / "done.json").unlink()
    with pytest.raises(StageError, match="not complete"):
        bench.train(prepared)


def test_a_missing_adapter_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        adapter_folder.digest(tmp_path)
