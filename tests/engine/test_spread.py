"""A bake in two processes of gloo is the bake of one, but for rounding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.utils.data import DataLoader, SequentialSampler
from transformers import TrainingArguments

from bakery.app import spread
from bakery.app.spread import Handed
from bakery.engine.training.spread import Dealt, deals, dealt
from bakery.engine.workers import Worker
from bakery.errors import ConfigError, StageError
from bakery.reporting import Quiet
from bakery.shaping import OnPolicySettings, Until
from bakery.stages import bake
from bakery.store.results import WEIGHTS
from bakery.torchrun.asked import Processes
from tests.support.baking import NOTHING, SHOUT, Bench, rows
from tests.support.students import Lesson

ROUNDING, LEFT = 1e-5, 2e-7
"""Relative, of a loss in fp32; and nats, which is what fp32 leaves of a small one."""

OWN = OnPolicySettings(steps=3, loss="jsd", learning_rate=2e-3)


@dataclass(frozen=True)
class Both:
    """The same bake by one process and by two."""

    one: dict[str, Any]
    two: dict[str, Any]
    notes: list[str]

    def losses(self, which: dict[str, Any]) -> list[float]:
        return [row["loss"] for row in rows(which)]

    def check(self) -> None:
        """Refuse any difference beyond rounding."""
        expected = pytest.approx(self.losses(self.one), rel=ROUNDING, abs=LEFT)
        assert self.losses(self.two) == expected
        assert [r["tokens"] for r in rows(self.two)] == [r["tokens"] for r in rows(self.one)]
        first, second = (load_file(which["folder"] / WEIGHTS) for which in (self.one, self.two))
        assert first.keys() == second.keys()
        furthest = max(float((first[name] - second[name]).abs().max()) for name in first)
        assert furthest < 1e-4
        assert self.two["bake_id"] == self.one["bake_id"]
        assert self.two["numerics"]["processes"] == 2
        assert "processes" not in self.one["numerics"]
        left = [which["card"]["kl_after"] for which in (self.one, self.two)]
        assert left[1] == (left[0] and pytest.approx(left[0], rel=1e-4))


def both(
    bench: Bench, parent: dict[str, Any] | None = None, *, sharded: bool = False, **changes: Any
) -> Both:
    """Bake in one process, then in two."""
    asked = {"questions": 13, "parent": parent, **changes}
    one = bench.bake(**asked)
    request, data, folder = bench.prepare(SHOUT, NOTHING, **asked)
    processes, told = Processes(here=2, number=0, sharded=sharded), Quiet()
    out = folder.with_name(f"{folder.name}.two")
    above = parent["folder"] if parent else None
    two = spread.train(Handed(request, data, out, above, None, (), processes), told)
    return Both(one, {**two, "folder": out / str(two["step"]), "bake_dir": out}, told.notes)


def test_two_processes_bake_what_one_does_and_so_does_the_next_bake(bench: Bench) -> None:
    """13 answers in steps of 8: the last step of each epoch has 3 and 2 of them."""
    first = both(bench, save_every_steps=(2,))
    first.check()
    assert "process 1 of 2: CPU, 1 thread" in first.notes
    kept = [
        sorted(path.name for path in which["bake_dir"].iterdir())
        for which in (first.one, first.two)
    ]
    assert kept[0] == kept[1]
    both(bench, first.one, learning_rate=3e-3).check()


@pytest.mark.slow
def test_two_processes_answer_on_policy_questions_as_one_does(bench: Bench) -> None:
    found = both(bench, on_policy=OWN)
    found.check()
    assert found.two["on_policy"]["steps"] == 3


@pytest.mark.slow
def test_rounds_go_on_in_all_processes_alike(bench: Bench) -> None:
    found = both(bench, until=Until(max_epochs=4, patience=1))
    assert found.two["until"]["kept"] == found.one["until"]["kept"]
    found.check()


def test_a_base_that_is_shared_out_is_baked_as_a_whole_one(bench: Bench) -> None:
    found = both(bench, sharded=True)
    found.check()
    assert found.two["numerics"]["sharded"] is True
    assert "sharded" not in found.one["numerics"]
    held = [note for note in found.notes if "holds" in note]
    assert len(held) == 2
    assert all("of the base's" in note and "at its peak" in note for note in held)


@pytest.mark.slow
def test_a_student_learns_from_a_larger_model_in_two_processes_as_in_one(tmp_path: Path) -> None:
    lesson = Lesson(tmp_path)
    request = lesson.request()
    one, out = lesson.learnt(request), tmp_path / "two"
    processes = Processes(here=2, number=0)
    handed = Handed(request, [lesson.data], out, None, None, (), processes)
    two = spread.train(handed, Quiet())
    made = {**two, "folder": out / str(two["step"]), "bake_dir": out}
    Both(one, made, []).check()
    assert two["teacher"] == one["teacher"]


def test_a_teacher_that_has_to_be_run_at_every_step_is_refused_where_the_base_is_shared_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bake, "RECORD_GB", 0.0)
    request, data, folder = bench.prepare(SHOUT, NOTHING, 3, None)
    base = bench.base()
    with pytest.raises(StageError, match="shared out"):
        bake.run(
            request, data, folder, base=base, model=base.model, parent=None, reporter=Quiet(),
            worker=Worker(in_step=True),
        )  # fmt: skip


@pytest.mark.parametrize("how", ["split_batches", "dispatch_batches"])
def test_what_accelerate_was_asked_to_deal_out_is_left_to_it(how: str, tmp_path: Path) -> None:
    given = TrainingArguments(str(tmp_path), use_cpu=True, accelerator_config={how: True})
    loader = DataLoader(range(7), batch_size=2)
    assert not deals(given)
    assert deals(TrainingArguments(str(tmp_path), use_cpu=True))
    assert dealt(loader, given, Worker(0, 2), None) is loader


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    ("rows_of", "size", "most"), [(13, 8, 4), (7, 8, 8), (16, 8, 3), (5, 4, 1)]
)
def test_a_step_is_dealt_out_whole_and_nothing_twice(
    rows_of: int, size: int, most: int, count: int
) -> None:
    order = SequentialSampler(range(rows_of))
    dealt = [
        Dealt(order, size=size, most=most, worker=Worker(rank, count)) for rank in range(count)
    ]
    batches = [list(one) for one in dealt]
    assert [len(own) for own in batches] == [len(one) for one in dealt]
    assert len({len(own) for own in batches}) == 1
    assert all(len(batch) <= most for own in batches for batch in own)
    parts = dealt[0].parts
    for step, first in enumerate(range(0, rows_of, size)):
        mine = [own[step * parts : (step + 1) * parts] for own in batches]
        taken = sorted(row for own in mine for batch in own for row in batch)
        assert taken == list(range(rows_of))[first : first + size]
        assert mine[0][0]  # which says how all run their batches


@pytest.mark.parametrize(
    ("asked", "changes", "said"),
    [
        (Processes(here=1, sharded=True), {}, "nobody to share"),
        (Processes(here=2, sharded=True), {"on_policy": OWN}, "its own questions"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(
    asked: Processes, changes: dict[str, Any], said: str, bench: Bench
) -> None:
    request, _, _ = bench.prepare(SHOUT, NOTHING, 3, None, **changes)
    with pytest.raises(ConfigError, match=said):
        spread.settled(asked, request)
