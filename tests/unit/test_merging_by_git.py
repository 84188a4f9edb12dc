"""Merging by git, with bgit's driver: no bake is lost or doubled, one model is current."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.errors import ConfigError, RepoError
from bakery.repo.commits import merging
from bakery.repo.look.status import status
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import baked, committed, current, forked, git, made, names


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    return made(workplace / "ä model")


def is_clean(repo: ModelRepo) -> bool:
    return git(repo.root, "status", "--porcelain") == ""


def test_a_merge_keeps_every_bake_and_our_model(repo):
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")
    assert is_clean(repo)
    assert repo.plan().is_empty
    parents = {bake.base_name: bake.parent for bake in repo.bakes()}
    assert parents["three"] == parents["two"]


def test_a_merge_of_a_branch_that_only_baked_takes_its_model(repo):
    baked(repo, "one")
    git(repo.root, "switch", "-qc", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "main")
    (repo.root / "notes.md").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "notes.md")
    git(repo.root, "commit", "-qm", "Notes")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_a_squash_keeps_every_bake_too(repo):
    forked(repo)
    git(repo.root, "merge", "-q", "--squash", "exp")
    git(repo.root, "commit", "-qm", "All of exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")


def test_a_rebase_moves_bakes_and_they_keep_their_recorded_parents(repo):
    forked(repo)
    git(repo.root, "switch", "-q", "exp")
    before = repo.bakes()
    git(repo.root, "rebase", "-q", "main")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")
    assert [b for b in repo.bakes() if b.base_name != "two"] == before
    assert is_clean(repo)


def test_a_rebase_over_other_work_keeps_the_model(repo):
    baked(repo, "one")
    git(repo.root, "switch", "-qc", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "commit", "-q", "--allow-empty", "-m", "Other work")
    git(repo.root, "switch", "-q", "exp")
    git(repo.root, "rebase", "-q", "main")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_a_cherry_picked_bake_brings_its_parents_blocks(repo):
    forked(repo)
    git(repo.root, "cherry-pick", "exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")
    assert is_clean(repo)


def test_the_revert_of_a_merge_takes_its_bakes_out(repo):
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    baked(repo, "five")
    git(repo.root, "revert", "--no-edit", "-m", "1", "HEAD~2")
    assert (names(repo), current(repo)) == (["one", "two", "five"], "five")


def test_git_s_revert_of_a_bake_that_others_stand_on_stops_and_says_so(repo):
    baked(repo, "one")
    baked(repo, "two")
    git(repo.root, "revert", "--no-edit", "HEAD~2", fails=True)
    assert "recipe.yml" in git(repo.root, "diff", "--name-only", "--diff-filter=U")
    git(repo.root, "revert", "--abort")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_a_criss_cross_merge_doubles_nothing(repo):
    forked(repo)
    git(repo.root, "branch", "main-before")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    git(repo.root, "switch", "-q", "exp")
    git(repo.root, "merge", "-q", "--no-edit", "main-before")
    baked(repo, "five")
    git(repo.root, "switch", "-q", "main")
    baked(repo, "six")
    done = subprocess.run(
        ["git", "merge", "-q", "--no-edit", "exp"], cwd=repo.root, capture_output=True, text=True
    )
    assert done.stderr.count("the model stays") == 1
    assert sorted(names(repo)) == ["five", "four", "one", "six", "three", "two"]
    assert current(repo) == "six"
    order = [bake.id for bake in repo.bakes()]
    for bake in repo.bakes():
        assert bake.parent is None or order.index(bake.parent.bake_id) < order.index(bake.id)


def test_an_octopus_of_bakes_is_refused_whole(repo):
    forked(repo)
    git(repo.root, "switch", "-qc", "third", "exp~1")
    baked(repo, "five")
    git(repo.root, "switch", "-q", "main")
    head = git(repo.root, "rev-parse", "HEAD")
    git(repo.root, "merge", "-q", "exp", "third", fails=True)
    git(repo.root, "reset", "-q", "--hard")
    assert git(repo.root, "rev-parse", "HEAD") == head
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_two_next_configurations_conflict_in_input_yml_alone(repo):
    forked(repo)
    committed(repo, "next_here")
    git(repo.root, "switch", "-q", "exp")
    committed(repo, "next_there")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "merge", "-q", "--no-edit", "exp", fails=True)
    assert git(repo.root, "diff", "--name-only", "--diff-filter=U") == "input.yml"
    assert names(repo) == ["one", "two", "three", "four"]


def test_a_conflict_in_input_yml_is_named_with_its_line(repo):
    forked(repo)
    committed(repo, "next_here")
    git(repo.root, "switch", "-q", "exp")
    committed(repo, "next_there")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "merge", "-q", "--no-edit", "exp", fails=True)
    with pytest.raises(ConfigError, match=r"input\.yml:\d+:1: a merge conflict is not resolved"):
        repo.plan("worktree")
    assert "a merge conflict" in (status(repo).draft_problem or "")


def test_the_side_with_a_next_configuration_gives_input_yml(repo):
    forked(repo)
    git(repo.root, "switch", "-q", "exp")
    committed(repo, "next_there")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert "name: next_there" in (repo.root / "input.yml").read_text("utf-8")
    assert not repo.plan().is_empty


def test_a_clone_without_bgit_conflicts_and_its_conflict_is_merged_anew(repo, workplace):
    forked(repo)
    clone = workplace / "clone"
    git(workplace, "clone", "-q", str(repo.root), str(clone))
    git(clone, "merge", "-q", "--no-edit", "origin/exp", fails=True)
    other = ModelRepo.find(clone)
    with pytest.raises(RepoError, match="a merge conflict is not resolved") as caught:
        other.bakes()
    command = (caught.value.hint or "").split("`")[1]
    assert command == "git checkout --merge -- .bread recipe.yml"
    other.finish_pending(Quiet())
    git(clone, *command.split()[1:], "input.yml")
    assert (names(other), current(other)) == (["one", "two", "three", "four"], "two")


def test_any_command_makes_a_clone_merge_by_the_driver(repo, workplace):
    forked(repo)
    clone = workplace / "clone"
    git(workplace, "clone", "-q", str(repo.root), str(clone))
    other = ModelRepo.find(clone)
    other.finish_pending(Quiet())
    git(clone, "merge", "-q", "--no-edit", "origin/exp")
    assert names(other) == ["one", "two", "three", "four"]


def test_a_driver_of_an_installation_that_is_gone_is_replaced(repo):
    good = git(repo.root, "config", "merge.bgit.driver")
    git(repo.root, "config", "merge.bgit.driver", "/gone/python -m bakery.cli.merge_driver")
    merging.install(repo.git)
    assert git(repo.root, "config", "merge.bgit.driver") == good


def test_a_clone_that_cannot_be_written_to_merges_as_text(repo):
    git(repo.root, "config", "--unset", "merge.bgit.driver")
    attributes = repo.git.common_dir / "info" / "attributes"
    attributes.unlink()
    attributes.mkdir()
    (repo.git.common_dir / "config.lock").touch()
    merging.install(repo.git)
    assert git(repo.root, "config", "--get", "merge.bgit.driver", fails=True) == ""


def test_a_driver_in_a_folder_with_odd_signs_is_found(repo, workplace, monkeypatch):
    place = workplace / "100%O 'ä'"
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    merging.install(repo.git)
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert names(repo) == ["one", "two", "three", "four"]


def test_repositories_that_forbid_merging_are_merged_all_the_same(repo):
    attributes = repo.root / ".gitattributes"
    attributes.write_text("/.bread -merge\n/recipe.yml merge=keepTheirs\n", encoding="utf-8")
    git(repo.root, "commit", "-qam", "As it was once")
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")


def test_what_a_person_wrote_into_info_attributes_stays(repo):
    path = repo.git.common_dir / "info" / "attributes"
    path.write_text("*.png binary", encoding="utf-8")
    merging.install(repo.git)
    merging.install(repo.git)
    text = path.read_text("utf-8")
    assert text.startswith("*.png binary\n")
    assert text.count("merge=bgit") == 3
