"""What one epoch has not taught is learnt again: the furthest, while there is any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from bakery.engine.metrics import Metrics
from bakery.identity import Relearn
from bakery.stages import relearn
from bakery.stages import training as phases
from tests.support.baking import Bench, rows, training

WORST = 0.004
"""Nats at which some questions of the bakes below are learnt, and others not."""


def phase_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in rows(result) if row.get("phase") == relearn.PHASE]


def test_what_is_far_is_learnt_again_and_comes_nearer(bench: Bench) -> None:
    plain = bench.bake()
    again = bench.bake(relearn=Relearn(WORST, 2))
    learnt = again["relearn"]["questions"]
    assert 1 <= len(learnt) <= 2
    assert again["card"]["kl_after"] < plain["card"]["kl_after"]
    further = phase_of(again)
    assert [row["step"] for row in rows(again) if "loss" in row] == list(
        range(1, again["step"] + 1)
    )
    assert again["step"] == plain["step"] + len(further)
    assert len(further) >= len(learnt)
    assert f"{again['step']}" == again["folder"].name


def test_nothing_is_learnt_again_where_all_is_learnt(bench: Bench) -> None:
    plain, asked = bench.bake(), bench.bake(relearn=Relearn(50.0, 3))
    assert asked["digest"] != ""
    assert (asked["step"], asked["card"]) == (plain["step"], plain["card"])
    assert "relearn" not in asked
    assert not phase_of(asked)


class Crash(TrainerCallback):
    """Stops training in the middle of a round."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == 1 and self._phase == relearn.PHASE:
            raise KeyboardInterrupt


class CrashingMetrics(Crash, Metrics):
    pass


def test_an_interrupted_round_is_begun_anew_and_ends_at_the_same_bytes(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Relearn(WORST, 2)
    whole = Bench(tmp_path / "whole", tmp_path / "model").bake(relearn=asked)
    with monkeypatch.context() as patched:
        patched.setattr(phases, "Metrics", CrashingMetrics)
        with pytest.raises(KeyboardInterrupt):
            bench.bake(relearn=asked)
    result = bench.bake(relearn=asked)
    assert result["digest"] == whole["digest"]
    assert [row["step"] for row in rows(result)] == [row["step"] for row in rows(whole)]


def test_it_is_part_of_the_id_only_where_it_is_asked_for() -> None:
    assert "relearn" not in training().as_data()
    assert training(relearn=Relearn(1.0, 3)).as_data()["relearn"] == {"nats": 1.0, "rounds": 3}
