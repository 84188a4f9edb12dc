"""Repositories of another tool: shown as they are, gone on from, nothing of them lost."""

from __future__ import annotations

import pytest
import yaml

from bakery.errors import ConfigError, RepoError
from bakery.repo.commits import merging
from bakery.repo.files import hosted, recipe
from bakery.repo.look.status import status
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.former import (
    ACTIONS,
    BASE,
    BREAD,
    FIRST,
    FIRST_MODEL,
    FRESH,
    FRESH_BREAD,
    SECOND,
    SECOND_MODEL,
    SHAPES,
    TARGET,
    written,
)
from tests.support.recorded import BASE as OURS
from tests.support.recorded import baked, configuration, git, made


@pytest.fixture
def repo(workplace) -> ModelRepo:
    return written(workplace / "yoda")


@pytest.mark.parametrize("shape", SHAPES)
def test_bakes_models_parents_and_targets_are_read_from_every_shape(shape):
    found = hosted.parse(BREAD, SHAPES[shape])
    assert (found.repository, found.base, found.parent) == ("yoda", BASE, SECOND_MODEL)
    assert [(bake.name, bake.models[0]) for bake in found.bakes] == [
        (FIRST, FIRST_MODEL),
        (SECOND, SECOND_MODEL),
    ]
    assert [bake.parent for bake in found.bakes] == [None, FIRST_MODEL]
    assert list(found.targets) == [TARGET]


def test_a_recipe_that_only_lists_names_is_read(workplace):
    found = hosted.parse(FRESH_BREAD, "resources:\n  bakes: [yoda, spock_0123456789abcdef]\n")
    assert [bake.label for bake in found.bakes] == ["yoda", "spock_0123456789abcdef"]
    assert hosted.parse(FRESH_BREAD, FRESH).bakes == ()


@pytest.mark.parametrize(
    "recipe", ["", "- a\n", "steps: 7\n", "steps: [1, {}]\nresources: x\n", "{", "x: 2030-99-99"]
)
def test_a_recipe_that_makes_no_sense_says_nothing(recipe):
    assert hosted.parse(FRESH_BREAD, recipe).bakes == ()


def test_our_files_are_not_taken_for_another_tool_s(workplace):
    ours = made(workplace / "ours")
    assert not ours.state().is_former
    assert ours.former() is None


def test_status_names_the_model_and_the_way_on(repo):
    now = status(repo)
    assert (now.parent, now.former_parent) == (None, SECOND_MODEL)
    assert "its weights are with the vendor" in (now.parent_problem or "")
    assert "`bgit adopt base`" in (now.parent_problem or "")
    assert repo.bakes() == []


def test_the_tree_has_its_bakes_and_branches(repo):
    tree = repo.lineage()
    assert [(bake.name, bake.parent) for bake in tree.former] == [
        (FIRST, None),
        (SECOND, FIRST_MODEL),
    ]
    assert [(b.name, b.former_model) for b in tree.branches] == [("main", SECOND_MODEL)]


def test_what_one_branch_s_recipe_lost_another_s_still_has(repo):
    git(repo.root, "switch", "-qc", "exp")
    (repo.root / "recipe.yml").write_text(f"resources:\n  bakes: [{SECOND}]\n", encoding="utf-8")
    git(repo.root, "commit", "-qam", "Update recipe.yml")
    assert {bake.name: len(bake.models) for bake in repo.lineage().former} == {SECOND: 2, FIRST: 1}


@pytest.mark.parametrize("name", [FIRST, "yoda_bake", FIRST_MODEL, "parent", "main"])
def test_its_models_are_known_and_said_to_be_elsewhere(repo, name):
    with pytest.raises(RepoError, match="was baked by another tool, and its weights are with"):
        repo.find_model(name)


def test_nothing_is_built_on_it_before_a_choice_is_made(repo):
    with pytest.raises(RepoError, match=SECOND_MODEL):
        repo.check_parent()
    with pytest.raises(RepoError, match="does not know its base model yet"):
        repo.adopt(None, reporter=Quiet())


def adopted(repo: ModelRepo) -> Quiet:
    notes = Quiet()
    repo.adopt(None, base=OURS, reporter=notes)
    return notes


def test_going_on_from_a_base_writes_our_format_and_keeps_both_files_as_they_were(repo):
    adopted(repo)
    now = repo.state()
    assert (now.owner, now.name, now.base, now.parent) == ("acme", "yoda", OURS, None)
    assert not now.is_former
    kept = yaml.safe_load((repo.root / "recipe.yml").read_text("utf-8"))["former"]
    assert kept == {"bread": BREAD, "recipe": ACTIONS}
    assert [bake.name for bake in repo.lineage().former] == [FIRST, SECOND]
    found = repo.former()
    assert found is not None
    assert found.parent == SECOND_MODEL
    assert git(repo.root, "status", "--porcelain") == ""


def test_the_next_bake_starts_from_the_base_and_is_recorded_beside_the_history(repo):
    adopted(repo)
    repo.check_parent()
    model = baked(repo, "yoda_again")
    assert [bake.model for bake in repo.bakes()] == [model]
    assert repo.state().parent == model
    assert [bake.name for bake in repo.lineage().former] == [FIRST, SECOND]


def test_its_models_answer_nobody_and_what_would_is_said(repo):
    adopted(repo)
    text = configuration("pirate").replace("TARGET:\n", f"TARGET:\n  model_name: {FIRST_MODEL}\n")
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"TARGET\.model_name: .* weights are with") as caught:
        repo.plan("worktree")
    assert str(caught.value.hint).endswith("\nWithout this line the current model answers.")


def test_another_branch_of_it_can_adopt_a_model_of_ours(repo):
    git(repo.root, "branch", "exp")
    adopted(repo)
    model = baked(repo, "yoda_again")
    git(repo.root, "switch", "-q", "exp")
    assert repo.state().is_former
    bake = repo.find_model("main")
    repo.adopt(bake, base=OURS, reporter=Quiet())
    assert repo.state().parent == model
    assert repo.former() is not None


def test_two_branches_of_it_that_both_went_on_are_merged(repo):
    merging.install(repo.git)
    git(repo.root, "switch", "-qc", "exp")
    bread = repo.root / ".bread"
    bread.write_text(BREAD.replace(SECOND_MODEL, FIRST_MODEL), encoding="utf-8")
    git(repo.root, "commit", "-qam", "another model")
    adopted(repo)
    baked(repo, "there")
    git(repo.root, "switch", "-q", "main")
    adopted(repo)
    here = baked(repo, "here")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert [bake.base_name for bake in repo.bakes()] == ["here", "there"]
    assert repo.state().parent == here
    found = repo.former()
    assert found is not None
    assert found.parent == SECOND_MODEL


@pytest.mark.parametrize(("base", "is_clean"), [("tiny-1", True), ("other", False)])
def test_what_it_had_written_stays_in_a_merge_and_two_bases_conflict(base, is_clean):
    ours = recipe.new("tiny-1", hosted.as_data(BREAD, ACTIONS))
    theirs = recipe.new(base, hosted.as_data(FRESH_BREAD, ACTIONS))
    merged = merging.merge("recipe.yml", ACTIONS, ours, theirs)
    assert merged.is_clean == is_clean
    if is_clean:
        assert merged.text == ours
        assert merged.notes == (
            "`former:` of recipe.yml stays as on this side; theirs is in their commits",
        )


def test_a_revert_of_the_choice_brings_both_files_back(repo):
    adopted(repo)
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert (repo.root / ".bread").read_text("utf-8") == BREAD
    assert (repo.root / "recipe.yml").read_text("utf-8") == ACTIONS


def test_its_hooks_are_named_until_they_are_deleted(repo):
    hook = repo.git.common_dir / "hooks" / "post-merge"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("git checkout MERGE_HEAD -- .bread recipe.yml\n", encoding="utf-8")
    assert any("post-merge is a hook of the other tool" in note for note in adopted(repo).notes)
    (warning,) = status(repo).warnings
    assert warning.endswith("which overwrites what bgit merges: delete it")
    hook.unlink()
    assert status(repo).warnings == ()


def test_windows_line_ends_of_it_are_read(workplace):
    repo = written(
        workplace / "crlf",
        bread=BREAD.replace("\n", "\r\n"),
        recipe=ACTIONS.replace("\n", "\r\n"),
    )
    assert repo.state().former_parent == SECOND_MODEL
    adopted(repo)
    assert len(repo.lineage().former) == 2


def test_a_repository_of_it_without_bakes_waits_for_a_base_too(workplace):
    repo = written(workplace / "fresh", bread=FRESH_BREAD, recipe=FRESH)
    with pytest.raises(RepoError, match="yoda was made by another tool"):
        repo.check_parent()
    adopted(repo)
    repo.check_parent()
