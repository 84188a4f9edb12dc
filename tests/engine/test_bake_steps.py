"""Who looks at a bake reads the steps that its trainer counts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bakery import costs
from bakery.engine import memory
from bakery.engine.bases import machine
from bakery.engine.sampling import sampling
from bakery.identity import Running
from bakery.records import write_atomic
from bakery.repo.look import progress
from bakery.repo.look.progress import StageStatus
from bakery.reporting import Quiet
from bakery.shaping import OnPolicySettings
from bakery.stages import measured, steps, training
from bakery.store import results
from bakery.store.store import Store
from tests.support.baking import NOTHING, SHOUT, Bench

OWN = OnPolicySettings(3, "reverse_kl", 1e-3)


class Watching(Quiet):
    """Looks at the bake's folder whenever its trainer says how far it is."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.store = Store(root)
        self.folder: Path | None = None
        self.seen: list[tuple[str, int, int, progress.StageStatus]] = []

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        if label in ("bake", "on_policy"):
            self.seen.append((label, done, total, self.status()))

    def status(self) -> StageStatus:
        assert self.folder is not None
        plan = SimpleNamespace(targets=(), bake_name="b", bake=SimpleNamespace(id=self.folder.name))
        return progress.stages(self.store, cast(Any, plan))[0]


def test_status_counts_steps_as_the_trainer_does(bench: Bench) -> None:
    prepared = bench.prepare(SHOUT, NOTHING, 12, None, global_batch=4, epochs=3, on_policy=OWN)
    watching = bench.reporter = Watching(bench.root)
    folder = watching.folder = prepared[2]
    result = bench.train(prepared)
    first = [seen for seen in watching.seen if seen[0] == "bake"]
    own = [seen for seen in watching.seen if seen[0] == "on_policy"]
    total = first[-1][2]
    assert total == 9  # 11 answers in steps of 4, three times
    assert [done for _, done, _, _ in first] == list(range(10))
    assert [(s.done, s.expected) for *_, s in first] == [(n, total + 3) for n in range(10)]
    assert [(s.done, s.expected) for *_, s in own] == [(total + n, total + 3) for n in range(4)]
    assert result["step"] == total + 3
    assert watching.status().state == "complete"
    assert not (folder / results.STEPS).exists()


def test_a_phase_that_nobody_knew_of_brings_steps_of_its_own(tmp_path: Path) -> None:
    watching = Watching(tmp_path)
    folder = watching.folder = watching.store.bake("a" * 16)
    folder.mkdir(parents=True)
    steps.begin(folder, steps.FIRST, 9, before=0)
    write_atomic(folder / "metrics.jsonl", json.dumps({"step": 9, "loss": 0.5}) + "\n")
    assert (watching.status().done, watching.status().expected) == (9, 9)
    steps.begin(folder, "again", 4, before=9)
    assert (watching.status().done, watching.status().expected) == (9, 13)
    with watching.store.lock(folder, "bgit run bake"):
        assert watching.status().left_s is None  # of its own steps none is made
        write_atomic(folder / "metrics.jsonl", json.dumps({"step": 11, "loss": 0.5}) + "\n")
        assert watching.status().left_s is not None
    steps.begin(folder, "again", 2, before=13)
    assert watching.status().expected == 15
    steps.begin(folder, "again", 4, before=9)  # made anew, from there
    assert watching.status().expected == 13
    for damaged in ("", "[]", '{"begun": 3, "coming": {}}', '{"begun": {"0": "x"}, "coming": {}}'):
        (folder / results.STEPS).write_text(damaged, encoding="utf-8")
        assert watching.status().expected is None
    for damaged in ('{"begun": {"x": 3}, "coming": {}}', '{"begun": {}, "coming": {"a": "x"}}'):
        (folder / results.STEPS).write_text(damaged, encoding="utf-8")
        steps.begin(folder, "again", 4, before=9)
        said = json.loads((folder / results.STEPS).read_text(encoding="utf-8"))
        assert (said["begun"], said["coming"]) == ({"9": 4}, {})


def test_fewer_answers_are_run_at_once_where_memory_is_short(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = bench.prepare(SHOUT, NOTHING, 12, None)
    request = replace(asked[0], running=Running(fits_memory=True))
    assert request.id == asked[0].id
    seen: list[int] = []
    arguments = training.arguments

    def told(work: training.Work, *rest: Any, **more: Any) -> Any:
        seen.append(work.micro_batch)
        return arguments(work, *rest, **more)

    monkeypatch.setattr(training, "arguments", told)
    losses = []
    for budget in (1 << 40, 0):
        monkeypatch.setattr(memory, "training_budget", lambda *_, budget=budget: budget)
        folder = asked[2].with_name(str(budget))
        losses.append(bench.train((request, asked[1], folder))["loss"]["last"])
    assert seen == [4, 1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_a_loaded_model_has_the_shape_that_its_files_say(bench: Bench) -> None:
    loaded = memory.shape_of(bench.base().model)
    said = machine.shape_of(bench.base_id, "float32")
    assert said is not None
    assert said.parameters == pytest.approx(loaded.parameters, rel=0.05)  # a header is there, too
    assert replace(said, parameters=loaded.parameters) == loaded


def test_costs_count_as_the_stages_do() -> None:
    assert (costs.ROWS, costs.LOOKED_AT) == (sampling.MAX_ROWS, measured.LOOKED_AT)
