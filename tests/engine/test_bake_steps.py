"""Who looks at a bake reads the steps that its trainer counts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from bakery.identity import OnPolicySettings
from bakery.records import write_atomic
from bakery.repo.look import progress
from bakery.repo.store import Store
from bakery.reporting import Quiet
from bakery.stages import steps
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

    def status(self) -> progress.StageStatus:
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
    assert not (folder / steps.FILE).exists()


def test_a_phase_that_nobody_knew_of_brings_steps_of_its_own(tmp_path: Path) -> None:
    watching = Watching(tmp_path)
    folder = watching.folder = watching.store.bake("a" * 16)
    folder.mkdir(parents=True)
    steps.begin(folder, steps.FIRST, 9, at=0)
    write_atomic(folder / "metrics.jsonl", json.dumps({"step": 9, "loss": 0.5}) + "\n")
    assert (watching.status().done, watching.status().expected) == (9, 9)
    steps.begin(folder, "again", 4, at=9)
    assert (watching.status().done, watching.status().expected) == (9, 13)
    with watching.store.lock(folder, "bgit run bake"):
        assert watching.status().left_s is None  # of its own steps none is made
        write_atomic(folder / "metrics.jsonl", json.dumps({"step": 11, "loss": 0.5}) + "\n")
        assert watching.status().left_s is not None
    for damaged in ("", "[]", '{"phases": 3}', '{"phases": {"bake": "x"}}'):
        (folder / steps.FILE).write_text(damaged, encoding="utf-8")
        assert watching.status().expected is None
