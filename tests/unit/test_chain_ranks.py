"""How many ranks a chain has, and what is left of a parent where it would have too many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery.app import compressing
from bakery.errors import ConfigError
from bakery.repo.files import block as recorded
from bakery.repo.files import ranks
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan import chains
from bakery.reporting import Quiet
from bakery.store.results import PROBES
from tests.support.models import random_model
from tests.support.recorded import baked, configuration


class Heard(Quiet):
    """Keeps what is announced."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def planned(repo: ModelRepo, limit: int | None = None):
    text = configuration("next")
    if limit is not None:
        text += f"  model: {{max_chain_rank: {limit}}}\n"
    plan = repo.plan_of(text, "input.yml")
    assert plan.bake is not None
    return plan


@pytest.mark.parametrize(
    ("before", "own", "limit", "left"),
    [
        (0, 256, None, None),
        (224, 32, None, None),
        (225, 32, None, 224),
        (256, 32, None, 224),
        (256, 32, 512, None),
        (16, 16, 31, 15),
    ],
)
def test_a_parent_keeps_as_many_ranks_as_there_is_room_for(before, own, limit, left):
    assert chains.kept(before, own, limit) == left


@pytest.mark.parametrize(("before", "own", "limit"), [(1, 256, None), (0, 9, 8), (4, 8, 8)])
def test_a_bake_that_takes_all_room_is_refused(before, own, limit):
    with pytest.raises(ConfigError, match=r"^here: a bake of rank .* leaves no room for"):
        chains.kept(before, own, limit, "here: ")


def test_the_limit_is_in_the_id_only_where_it_does_something(repo):
    baked(repo, "one")
    (own,) = (bake.rank for bake in repo.bakes())
    free, wide, tight, tighter = (planned(repo, n).bake for n in (None, 2 * own, own + 3, own + 2))
    assert free.id == wide.id
    assert len({free.id, tight.id, tighter.id}) == 3
    assert (free.compressed, tight.compressed, tighter.compressed) == (None, 3, 2)
    assert replace(tight, compressed=None).id == free.id


def test_it_is_said_where_a_parent_is_compressed(repo):
    baked(repo, "one")
    (own,) = (bake.rank for bake in repo.bakes())
    (said,) = [text for text in planned(repo, own + 3).warnings if "max_chain_rank" in text]
    assert f"would have rank {2 * own}, more than {own + 3}" in said
    assert not any("max_chain_rank" in text for text in planned(repo).warnings)


def test_a_limit_that_does_nothing_for_a_student_is_told(repo):
    path = random_model(repo.root.parent / "small")
    student = f"  model: {{max_chain_rank: 64, student_model_path: {path}}}\n"
    (said,) = [
        text
        for text in repo.plan_of(configuration("next") + student, "input.yml").warnings
        if "max_chain_rank" in text
    ]
    assert "input.yml:" in said
    assert "changes nothing: a student begins a chain of its own" in said


def test_ranks_that_were_kept_stand_for_all_that_came_before(repo):
    for name in ("one", "two"):
        baked(repo, name)
    first, second = repo.bakes()
    block = second.block.replace(
        "      training:", "      compressed:\n        kept: 5\n        rank: 9\n      training:"
    )
    third = replace(second, block=block)
    assert third.kept_of_parent == 5
    assert ranks.parts([first, third]) == [(f"{first.id}~5", 5), (third.id, third.rank)]
    assert ranks.total([first, third]) == 5 + third.rank
    assert ranks.are_known([third])
    assert not ranks.are_known([first, second])


@pytest.mark.parametrize(
    "wrong", [{"kept": 9}, {"kept": 10**9}, {"kept": 0}, {"lost": -3}, {"worst_lost": 1.5}]
)
def test_a_recipe_cannot_say_what_no_compression_leaves(wrong):
    sane = {"method": "svd", "kept": 5, "rank": 9, "lost": 0.1, "worst_lost": 0.2}
    assert recorded.part_problem("compressed", sane) is None
    assert recorded.part_problem("compressed", sane | wrong)


def test_questions_that_cannot_be_read_are_announced_with_whose_they_are(tmp_path):
    (tmp_path / PROBES).write_text("{", encoding="utf-8")
    reporter = Heard()
    assert compressing._asked("first", tmp_path, reporter) == []
    (said,) = reporter.notes
    assert said.startswith("first: ")
    assert said.endswith("what it loses is not measured")
