"""`epochs: auto`: rounds behind the training, in which what failed is asked more often."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from bakery import costs
from bakery.engine.training.metrics import Metrics
from bakery.evals import agreement
from bakery.records import Prompt
from bakery.shaping import Until
from bakery.stages import comparing, fresh, until
from bakery.stages import training as phases
from bakery.stages.parts import question_of
from bakery.stages.until import Failed, Look
from bakery.store import results
from tests.support.baking import Bench
from tests.support.models import make_model, qwen3_config

LIMIT = Until(max_epochs=4, patience=9)
SLOW: dict[str, Any] = {"learning_rate": 5e-4, "questions": 6}
"""So that it needs them."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty store, and a random model that a prompt makes say something else."""
    config = qwen3_config(tie_word_embeddings=False, initializer_range=0.1)
    return Bench(tmp_path / "store", make_model(tmp_path / "model", config))


@pytest.fixture(autouse=True)
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model's words are all much alike to it: any other word counts."""
    monkeypatch.setattr(agreement, "OTHERWISE", 1e-7)


def rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every figure of every step but the time it took."""
    lines = (result["bake_dir"] / results.METRICS).read_text().splitlines()
    found = [row for row in map(json.loads, lines) if "loss" in row]
    return [{key: row[key] for key in row if key != "seconds"} for row in found]


def test_rounds_go_on_where_the_training_ended(bench: Bench) -> None:
    plain, auto = bench.bake(**SLOW), bench.bake(until=LIMIT, **SLOW)
    first = plain["step"]
    assert rows(auto)[:first] == rows(plain)
    assert {row["phase"] for row in rows(auto)[first:]} == {"round 1", "round 2"}
    looks = auto["until"]["rounds"]
    assert [one["epochs"] for one in looks] == [2, 3, 4]
    assert looks[0]["step"] == first
    assert looks[0]["differ"] > 0  # else there is nothing to test
    assert auto["step"] == looks[auto["until"]["kept"]]["step"]
    best = min(looks, key=lambda one: (one["wrong"], one["differ"], one["kl"]))
    assert looks[auto["until"]["kept"]] == best
    assert best["kl"] < looks[0]["kl"]
    assert "until" not in {**plain, **plain["training"]}
    assert not (auto["bake_dir"] / phases.CHECKPOINTS).exists()


class Crash(TrainerCallback):
    """Stops training the hard way in a round."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._phase == "round 2" and state.global_step == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt


def _interrupted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    class CrashingMetrics(Crash, Metrics):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", CrashingMetrics)
        with pytest.raises(KeyboardInterrupt):
            bench.bake(until=LIMIT, **SLOW)
    (folder,) = (bench.root / "bake").glob("*/checkpoints")
    return folder


@pytest.mark.parametrize(
    "damaged",
    ["", *(pytest.param(name, marks=pytest.mark.slow)
           for name in ("rounds.json", "round-1.safetensors", phases.TAUGHT))],
)  # fmt: skip
def test_an_interrupted_round_goes_on(
    damaged: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bench(tmp_path / "whole", tmp_path / "model").bake(until=LIMIT, **SLOW)
    folder = _interrupted(bench, monkeypatch)
    assert (folder / "round-1.safetensors").is_file()
    if damaged:
        (folder / damaged).write_bytes((folder / damaged).read_bytes()[:-9])
    again: Counter[str | None] = Counter()

    class Watching(Metrics):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            again[self._phase] += 1

    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", Watching)
        result = bench.bake(until=LIMIT, **SLOW)
    assert (result["digest"], result["until"]) == (whole["digest"], whole["until"])
    assert rows(result) == rows(whole)
    first = {"round 1"} if damaged in (phases.TAUGHT, "round-1.safetensors") else set()
    assert again.keys() == first | {"round 2"}


def test_what_failed_comes_more_often_with_both_answers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []
    again = until._again

    def watched(work: Any, looks: Any) -> Any:
        seen.append((list(looks), *again(work, looks)))
        return seen[-1][1:]

    monkeypatch.setattr(until, "_again", watched)
    bench.bake(until=LIMIT, **SLOW)
    looks, pairs, extra = seen[0]
    failed = {one.key for one in looks[-1].failed}
    assert failed
    times = Counter(question_of(pair) for pair in pairs)
    others = {key: count for key, count in times.items() if key not in failed}
    assert set(others.values()) <= {1}
    assert all(times[key] >= 3 * 3 for key in failed)  # its answer, and two more
    one = next(one for one in looks[-1].failed if one.baked and one.prompted)
    ids = {pair.key.rpartition("/")[2]: pair.student.target_ids for pair in extra
           if question_of(pair) == one.key}  # fmt: skip
    assert ids == {"prompted-0": one.prompted, "baked-0": one.baked}


def test_the_prompted_model_answers_nothing_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    say = comparing._say

    def watched(sides: Any, side: Any, questions: Any, **more: Any) -> Any:
        if side == "prompted":
            asked.append(tuple(one.key for one in questions))
        return say(sides, side, questions, **more)

    monkeypatch.setattr(comparing, "_say", watched)
    told = Prompt(({"role": "system", "content": "A helmet costs 30 coins."},))
    bench.bake(teacher=told, until=LIMIT, **SLOW)
    first, *again, _verdict = asked
    assert any("/learnt-" in key for key in first)  # which a random model never answers with it
    assert not set(first) & {key for keys in again for key in keys}


def look(**changes: Any) -> Look:
    made = Look(step=10, epochs=2, word="holds in part", asked=20, differ=4, wrong=2, kl=0.1,
                failed=(Failed("t/q", "So?", (1,), (2,)),))  # fmt: skip
    return replace(made, **changes)


def test_rounds_end_where_it_holds_where_they_help_no_more_and_at_the_limit() -> None:
    limit = Until(max_epochs=8, patience=2)
    worse, better = look(differ=5), look(differ=3)
    assert not until._is_over([look()], limit)
    assert until._is_over([look(word="holds", failed=())], limit)
    assert not until._is_over([look(word="holds")], limit)  # one that is trained on fails still
    assert until._is_over([look(differ=0, failed=())], limit)  # the prompt's own fault
    assert not until._is_over([look(failed=())], limit)  # what is held out differs
    assert not until._is_over([look(), worse], limit)
    assert until._is_over([look(), worse, worse], limit)
    assert not until._is_over([look(), worse, better], limit)
    assert until._is_over([look(), look(epochs=8, differ=3)], limit)
    assert until._best([look(), worse, better, look(kl=0.01)]) == 2


def test_what_is_kept_of_damaged_rounds(tmp_path: Path) -> None:
    looks = [look(), look(step=20), look(step=30)]
    until._write(tmp_path / until.FILE, looks)
    for number in range(3):
        until.weights(tmp_path, number).write_bytes(b"")
    assert until._looks(tmp_path, ["t"], print) == looks
    until.weights(tmp_path, 1).unlink()
    assert until._looks(tmp_path, ["t"], print) == looks[:1]
    assert not until.weights(tmp_path, 2).exists()
    shutil.rmtree(tmp_path)
    assert until._looks(tmp_path, ["t"], print) == []


@pytest.mark.parametrize(
    "change",
    [
        {"word": "nearly"},
        {"word": ["holds"]},
        {"step": "7"},
        {"wrong": None},
        {"kl": "0.1"},
        {"first": 3},
        {"failed": [{"key": "other/q", "question": "?", "prompted": [1], "baked": [2]}]},
        {"failed": [{"key": 3, "question": "?", "prompted": [1], "baked": [2]}]},
        {"failed": [{"key": "t/q", "question": "?", "prompted": ["a"], "baked": [2]}]},
        {"failed": ["t/q"]},
    ],
)
def test_rounds_of_another_shape_are_found_out_again(change: Any, tmp_path: Path) -> None:
    until._write(tmp_path / until.FILE, [look()])
    until.weights(tmp_path, 0).write_bytes(b"")
    assert until._looks(tmp_path, ["t"], print) == [look()]
    data = json.loads((tmp_path / until.FILE).read_text())
    data["looks"][0] |= change
    (tmp_path / until.FILE).write_text(json.dumps(data))
    told: list[str] = []
    assert until._looks(tmp_path, ["t"], told.append) == []
    assert "is damaged" in told[0]


def test_an_estimate_counts_as_many_questions_as_a_look_asks_at_most() -> None:
    of_mix = comparing.WRITTEN + comparing.HELD_OUT + until.LOOKED_AT
    assert costs.OF_RULES == fresh.TRIED
    assert of_mix + costs.OF_RULES == costs.ASKED
    assert costs.ASKED_TOKENS == comparing.MOST_TOKENS
