"""`bgit adopt`: the choice between models that no merge can make, in one commit."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.commits.adopt import Adopted
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import (
    BASE,
    baked,
    committed,
    current,
    forked,
    git,
    hook,
    made,
    names,
    stored,
)


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    """main: one, two. exp (from after one): three, four. Stands on main."""
    repo = made(workplace / "yoda")
    forked(repo)
    return repo


def adopt(repo: ModelRepo, name: str) -> Adopted:
    return repo.adopt(repo.find_model(name), reporter=Quiet())


@pytest.mark.parametrize("name", ["exp", "four", "v1", "exp~0"])
def test_a_model_comes_with_all_that_it_was_baked_on_in_one_commit(repo, name):
    git(repo.root, "tag", "v1", "exp")
    head = git(repo.root, "rev-parse", "HEAD")
    adopted = adopt(repo, name)
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "four")
    assert [bake.base_name for bake in adopted.added] == ["three", "four"]
    assert git(repo.root, "rev-parse", "HEAD~1") == head
    assert git(repo.root, "status", "--porcelain") == ""
    assert git(repo.root, "show", "--format=%s", "--name-only").split() == [
        "adopt:",
        "four",
        ".bread",
        "recipe.yml",
    ]


def test_after_a_merge_only_the_model_changes(repo):
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert adopt(repo, "exp").added == ()
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "four")


def test_a_bake_that_was_recorded_beside_the_current_model_can_be_adopted(repo):
    plan = committed(repo, "five")
    result, launched = stored(repo, plan), repo.launch_blob()
    adopt(repo, "base")
    repo.record(plan, result, launched=launched, reporter=Quiet())
    assert (names(repo), current(repo)) == (["one", "two", "five"], "base")
    assert adopt(repo, "five").added == ()
    assert current(repo) == "five"


def test_a_branch_that_only_a_remote_has_can_be_adopted(repo, workplace):
    clone = workplace / "clone"
    git(workplace, "clone", "-q", str(repo.root), str(clone))
    other = ModelRepo.find(clone)
    adopt(other, "origin/exp")
    assert (names(other), current(other)) == (["one", "two", "three", "four"], "four")


def test_the_next_bake_starts_from_the_adopted_model(repo):
    adopt(repo, "exp")
    four = repo.state().parent
    baked(repo, "five")
    assert repo.bakes()[-1].parent == four


def test_a_revert_of_the_commit_brings_the_former_model_back(repo):
    adopt(repo, "exp")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_the_base_model_can_be_gone_back_to_and_all_bakes_stay_recorded(repo):
    assert adopt(repo, "base").model is None
    assert (names(repo), current(repo)) == (["one", "two"], "base")
    assert git(repo.root, "log", "-1", "--format=%s") == "adopt: the base model tiny-1"


def test_a_configuration_that_was_just_baked_is_emptied_and_another_one_stays(repo, workplace):
    plan = committed(repo, "five")
    git(repo.root, "branch", "other")
    repo.record(plan, stored(repo, plan), launched=repo.launch_blob(), reporter=Quiet())
    git(repo.root, "switch", "-q", "other")
    adopt(repo, "main")
    assert repo.plan().is_empty
    committed(repo, "six")
    adopt(repo, "exp")
    assert not repo.plan().is_empty


@pytest.mark.parametrize(("name", "says"), [("main", "two_.* is the current model already"),
                                            ("two", "nothing would change")])  # fmt: skip
def test_what_would_change_nothing_is_refused(repo, name, says):
    with pytest.raises(RepoError, match=says):
        adopt(repo, name)
    adopt(repo, "base")
    with pytest.raises(RepoError, match="the base model tiny-1 is the current model already"):
        adopt(repo, "base")


def test_uncommitted_state_is_refused(repo):
    with (repo.root / ".bread").open("a") as file:
        file.write("# mine\n")
    bake = repo.lineage().roots[0].bake
    with pytest.raises(RepoError, match=r"changed and not committed: \.bread"):
        repo.adopt(bake, reporter=Quiet())


def test_a_model_with_a_lost_parent_is_refused(repo):
    git(repo.root, "switch", "-q", "exp")
    text = (repo.root / "recipe.yml").read_text("utf-8")
    three = repo.bakes()[1]
    (repo.root / "recipe.yml").write_text(text.replace(three.block, ""), encoding="utf-8")
    git(repo.root, "commit", "-qam", "Lose three")
    git(repo.root, "switch", "-q", "main")
    with pytest.raises(RepoError, match=r"four_.* cannot be adopted: what it was baked on"):
        adopt(repo, "exp")


def test_a_model_on_another_base_is_refused(repo):
    bread, recipe = repo.root / ".bread", repo.root / "recipe.yml"
    for path in (bread, recipe):
        path.write_text(path.read_text("utf-8").replace(BASE.digest, "cd" * 32), encoding="utf-8")
    git(repo.root, "commit", "-qam", "Other base")
    with pytest.raises(RepoError, match="baked on another base model: tiny-1 \\(abababab"):
        adopt(repo, "exp")


def test_a_hook_that_refuses_leaves_all_as_it_was(repo):
    hook(repo, "pre-commit", "echo no >&2\nexit 1")
    with pytest.raises(RepoError, match="git commit was refused:\nno"):
        adopt(repo, "exp")
    assert (names(repo), current(repo)) == (["one", "two"], "two")
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.store.journals() == []


@pytest.mark.parametrize("moment", ["before the commit", "after the commit"])
def test_a_kill_between_choice_and_files_is_made_up_for(repo, monkeypatch, moment):
    from bakery.repo.commits import commit

    def killed(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(commit, "make" if moment == "before the commit" else "refresh", killed)
    with pytest.raises(KeyboardInterrupt):
        adopt(repo, "exp")
    monkeypatch.undo()
    repo.finish_pending(Quiet())
    done = moment == "after the commit"
    assert current(repo) == ("four" if done else "two")
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.store.journals() == []


def test_a_parent_that_no_recipe_has_is_said_before_anything_is_run(repo):
    bread = repo.root / ".bread"
    parent = repo.state().parent
    lost = bread.read_text("utf-8").replace(f"{parent}", "ann/yoda/lost_0123456789abcdef/3")
    bread.write_text(lost, encoding="utf-8")
    with pytest.raises(RepoError, match=r"parent not found: \.bread names ann/yoda/lost_") as no:
        repo.check_parent()
    assert "`bgit adopt base`" in (no.value.hint or "")


def test_a_parent_that_only_another_branch_records_is_brought_by_adopting_it(repo):
    four = repo.find_model("exp")
    bread = repo.root / ".bread"
    text = bread.read_text("utf-8").replace(f"{repo.state().parent}", f"{four.model}")
    bread.write_text(text, encoding="utf-8")
    git(repo.root, "commit", "-qam", "By hand")
    with pytest.raises(RepoError, match=r"this branch.s recipe\.yml does not have it") as no:
        repo.check_parent()
    assert f"`bgit adopt {four.name}`" in (no.value.hint or "")
    adopt(repo, "four")
    repo.check_parent()
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "four")
