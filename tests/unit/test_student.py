"""A bake into another base, as git sees it: recorded beside, adopted base and all, taken back."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.repo.files import block, state
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Quiet
from tests.support.model_folders import model_folder
from tests.support.recorded import (
    BASE,
    baked,
    configuration,
    current,
    git,
    made,
    names,
    result_of,
)

OTHER = BaseModelId("org/small", "v1", "cd" * 32, "qwen3", 64)
MODEL = "  model: {student_model_path: ../small}\n"


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    model_folder(workplace / "small")
    return made(workplace / "yoda")


def bread(repo: ModelRepo) -> str:
    return (repo.root / ".bread").read_text("utf-8")


def planned(repo: ModelRepo, name: str = "little") -> Plan:
    (repo.root / "input.yml").write_text(configuration(name) + MODEL, encoding="utf-8")
    git(repo.root, "commit", "-qam", f"Configure {name}")
    return repo.plan()


def learnt(repo: ModelRepo, name: str = "little") -> Quiet:
    """Record a bake into the other base; return what was said of it."""
    plan, told = planned(repo, name), Quiet()
    assert plan.bake is not None
    assert plan.bake.teacher is not None
    teacher = plan.bake.teacher
    named = {"base": asdict(teacher.base), "model": str(teacher.model or "") or None}
    result = result_of(plan) | {"base": asdict(plan.bake.base), "parent": None, "teacher": named}
    repo.record(plan, result, launched=repo.launch_blob(), reporter=told)
    return told


def adopt(repo: ModelRepo, name: str) -> Quiet:
    told = Quiet()
    repo.adopt(repo.find_model(name), reporter=told)
    return told


def test_the_base_of_a_state_changes_and_nothing_else(repo: ModelRepo) -> None:
    before = bread(repo)
    text = state.with_base(before, OTHER)
    assert state.parse(text) == replace(state.parse(before), base=OTHER)
    assert state.with_base(text, BASE) == before


def test_what_learns_is_another_base_without_a_parent(repo: ModelRepo) -> None:
    parent = baked(repo, "one")
    bake = planned(repo).bake
    assert bake is not None
    assert bake.parent is None
    assert bake.base.name == str(repo.root.parent / "small")
    assert bake.teacher is not None
    assert (bake.teacher.base.digest, bake.teacher.model) == (BASE.digest, parent)
    assert bake.training.first_weights is None


def test_it_is_recorded_beside_the_model_that_taught_it(repo: ModelRepo) -> None:
    baked(repo, "one")
    before = bread(repo)
    (note,) = [text for text in learnt(repo).notes if "another base" in text]
    assert "`bgit adopt little` makes both those of main" in note
    assert (bread(repo), names(repo)) == (before, ["one", "little"])
    repo.check_base()
    repo.check_parent()
    assert repo.base_of(repo.find_bake("little")).name.endswith("/small")
    assert repo.base_of(repo.find_bake("one")).name == BASE.name


def test_a_bare_base_that_teaches_stays_the_current_model(repo: ModelRepo) -> None:
    learnt(repo)
    assert current(repo) == "base"
    repo.check_base()


def test_adopted_the_branch_goes_on_from_it_and_back(repo: ModelRepo) -> None:
    baked(repo, "one")
    before = bread(repo)
    learnt(repo)
    (note,) = adopt(repo, "little").notes
    assert "the base model of main is" in note
    assert repo.state().base == repo.base_of(repo.find_bake("little"))
    assert current(repo) == "little"
    repo.check_base()
    adopt(repo, "one")
    assert state.parse(bread(repo)) == state.parse(before)


def test_taken_back_the_branch_stands_where_its_teacher_does(repo: ModelRepo) -> None:
    baked(repo, "one")
    before = bread(repo)
    learnt(repo)
    adopt(repo, "little")
    repo.revert(["little"], Quiet())
    assert (bread(repo), names(repo)) == (before, ["one"])


def test_a_target_is_not_answered_by_a_bake_on_another_base(repo: ModelRepo) -> None:
    learnt(repo)
    text = configuration("next").replace("TARGET:\n", "TARGET:\n  model_name: little\n")
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"little_.* lies on another base model"):
        repo.plan("worktree")


def test_a_base_that_no_bake_has_is_still_refused(repo: ModelRepo) -> None:
    learnt(repo)
    text = state.with_base(bread(repo), OTHER)
    (repo.root / ".bread").write_text(text, encoding="utf-8")
    with pytest.raises(RepoError, match="names the base model org/small"):
        repo.check_base()


@pytest.mark.parametrize("told", ["x", {}, {"base": {}}, {"base": {"name": "a", "digest": 3}}])
def test_a_teacher_that_names_no_base_is_damage(told: object) -> None:
    assert block.part_problem("teacher", told) is not None
    whole = {"base": {"name": "a", "digest": "b"}, "model": None}
    assert block.part_problem("teacher", whole) is None
