"""Bakes taken back, by bgit and by plain git."""

from __future__ import annotations

import pytest

from bakery.errors import RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import baked, committed, configuration, git, result_of, stored


def revert(repo: ModelRepo, *arguments: str) -> list[str]:
    notes = Quiet()
    repo.revert(arguments, notes)
    assert git(repo.root, "status", "--porcelain") == ""
    return notes.notes


def bake_commits(repo: ModelRepo) -> list[str]:
    return git(repo.root, "log", "--format=%H", "--grep=^bake: ").splitlines()


def read(repo: ModelRepo, path: str = "input.yml") -> str:
    return (repo.root / path).read_text(encoding="utf-8")


def test_reverting_the_only_bake_brings_back_the_state_before_it(repo):
    plan = committed(repo, "one")
    before = {path: read(repo, path) for path in (".bread", "recipe.yml", "input.yml")}
    repo.record(plan, result_of(plan), launched=repo.launch_blob(), reporter=Quiet())
    revert(repo, "HEAD")
    assert {path: read(repo, path) for path in before} == before
    assert git(repo.root, "log", "-1", "--format=%s") == "revert: one"


def test_after_a_revert_the_bake_is_recorded_again_from_the_store(repo):
    model = baked(repo, "one")
    revert(repo, "one")
    plan = repo.plan()
    assert plan.bake is not None
    assert plan.bake.id == model.bake_id
    assert not repo.is_recorded(model.bake_id)
    repo.record(plan, stored(repo, plan), launched=repo.launch_blob(), reporter=Quiet())
    assert repo.state().parent == model


@pytest.mark.parametrize("newest_first", [True, False])
def test_two_commits_in_either_order_give_the_state_before_both(repo, newest_first):
    first = baked(repo, "one")
    after_first = {path: read(repo, path) for path in (".bread", "recipe.yml")}
    baked(repo, "two")
    baked(repo, "three")
    three, two, _ = bake_commits(repo)
    revert(repo, *((three, two) if newest_first else (two, three)))
    assert repo.state().parent == first
    assert {path: read(repo, path) for path in after_first} == after_first
    assert read(repo) == configuration("two")
    assert git(repo.root, "log", "-1", "--format=%s") == "revert: three, two"


def test_the_last_of_several_goes_alone(repo):
    first, second = baked(repo, "one"), baked(repo, "two")
    revert(repo, str(second))
    assert repo.state().parent == first


def test_all_goes_back_to_the_base_model(repo):
    baked(repo, "one")
    baked(repo, "two")
    revert(repo, "--all")
    assert repo.state().parent is None
    assert repo.bakes() == []
    assert read(repo) == configuration("one")


def test_a_bake_with_others_on_top_of_it_stays_and_the_way_is_shown(repo):
    first, second, third = baked(repo, "one"), baked(repo, "two"), baked(repo, "three")
    head = repo.git.head()
    with pytest.raises(RepoError, match=f"{second.bake} was baked on top of") as caught:
        repo.revert([str(first)], Quiet())
    command = f"`bgit revert {third.bake} {second.bake} {first.bake}`"
    assert command in (caught.value.hint or "")
    assert repo.git.head() == head
    revert(repo, third.bake, second.bake, first.bake)
    assert repo.state().parent is None


@pytest.mark.parametrize(
    "what", ["name", "base name", "id", "prefix", "model", "step", "parent", "commit", "HEAD"]
)
def test_a_bake_goes_by_many_names(repo, what):
    model = baked(repo, "one")
    named = {
        "name": model.bake,
        "base name": "one",
        "id": model.bake_id,
        "prefix": model.bake_id[:8],
        "model": str(model),
        "step": f"one/{model.step}",
        "parent": "parent",
        "commit": git(repo.root, "rev-parse", "--short", "HEAD"),
        "HEAD": "HEAD",
    }
    revert(repo, named[what])
    assert repo.bakes() == []


def test_a_newer_configuration_that_is_committed_is_kept_and_said(repo):
    baked(repo, "one")
    committed(repo, "two")
    notes = revert(repo, "one")
    assert read(repo) == configuration("two")
    assert "newer configuration" in notes[0]


def test_a_newer_configuration_in_the_folder_is_kept_and_said(repo):
    baked(repo, "one")
    (repo.root / "input.yml").write_text(configuration("two"), encoding="utf-8")
    notes = Quiet()
    repo.revert(["one"], notes)
    assert read(repo) == configuration("two")
    assert "not committed" in notes.notes[0]
    assert git(repo.root, "status", "--porcelain") == " M input.yml"


def test_it_works_after_a_squash(repo):
    start = git(repo.root, "rev-parse", "HEAD")
    baked(repo, "one")
    baked(repo, "two")
    git(repo.root, "reset", "-q", "--soft", start)
    git(repo.root, "commit", "-qm", "Both at once")
    git(repo.root, "reflog", "expire", "--expire=now", "--all")
    git(repo.root, "gc", "-q", "--prune=now")
    revert(repo, "HEAD")
    assert repo.state().parent is None
    assert read(repo) == configuration("one")


def test_a_conflict_free_git_revert_of_the_last_bake(repo):
    first = baked(repo, "one")
    second = baked(repo, "two")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert repo.state().parent == first
    assert read(repo) == configuration("two")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert repo.state().parent == second
    assert repo.is_recorded(second.bake_id)
    assert repo.plan().is_empty


def test_a_git_revert_of_bgit_s_revert_brings_the_bakes_back(repo):
    baked(repo, "one")
    second = baked(repo, "two")
    revert(repo, "--all")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert repo.state().parent == second
    assert [bake.base_name for bake in repo.bakes()] == ["one", "two"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["HEAD~1"],
        ["HEAD", "HEAD~1"],
        ["--abort"],
        ["-n", "HEAD"],
        ["nothing"],
        [],
        ["HEAD~2..HEAD"],
    ],
)
def test_what_is_no_bake_is_git_s_to_revert(repo, arguments):
    baked(repo, "one")
    assert repo.names_bakes(arguments) is None


def test_an_adoption_is_git_s_to_revert(repo):
    first = baked(repo, "one")
    git(repo.root, "switch", "-q", "-c", "exp")
    other = baked(repo, "two")
    git(repo.root, "switch", "-q", "main")
    current = baked(repo, "three")
    repo.adopt(repo.find_model(str(other)), reporter=Quiet())
    assert repo.state().parent == other
    assert repo.names_bakes(["HEAD"]) is None
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert repo.state().parent == current
    assert [bake.model for bake in repo.bakes()] == [first, current]


def test_no_edit_is_what_bgit_does_anyway(repo):
    baked(repo, "one")
    assert [bake.base_name for bake in repo.names_bakes(["--no-edit", "HEAD"]) or []] == ["one"]


def test_a_name_that_two_bakes_have_is_ambiguous(repo):
    baked(repo, "same")
    baked(repo, "same")
    with pytest.raises(RepoError, match=r"'same' may mean same_.* or same_"):
        repo.revert(["same"], Quiet())


def test_a_bake_that_is_gone_cannot_go_again(repo):
    baked(repo, "one")
    commit = git(repo.root, "rev-parse", "HEAD")
    revert(repo, "HEAD")
    with pytest.raises(RepoError, match=r"is not in this branch's recipe\.yml"):
        repo.revert([commit], Quiet())


def test_all_of_nothing_is_an_error(repo):
    with pytest.raises(RepoError, match="nothing is baked"):
        repo.revert(["--all"], Quiet())


def test_staged_files_are_not_swept_in(repo):
    baked(repo, "one")
    (repo.root / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "mine.txt")
    repo.revert(["one"], Quiet())
    assert git(repo.root, "status", "--porcelain") == "A  mine.txt"


def test_a_lost_configuration_comes_from_the_store(repo):
    plan = committed(repo, "one")
    stored(repo, plan)
    repo.record(plan, result_of(plan), launched=repo.launch_blob(), reporter=Quiet())
    empty = read(repo)
    git(repo.root, "checkout", "-q", "--orphan", "fresh")
    git(repo.root, "commit", "-qm", "Everything anew")
    git(repo.root, "branch", "-qD", "main")
    git(repo.root, "reflog", "expire", "--expire=now", "--all")
    git(repo.root, "gc", "-q", "--prune=now")
    assert read(repo) == empty
    revert(repo, "one")
    assert read(repo) == configuration("one")


def shallow(repo: ModelRepo, depth: int) -> ModelRepo:
    folder = repo.root.parent / "shallow"
    git(repo.root, "clone", "-q", f"--depth={depth}", repo.root.as_uri(), str(folder))
    return ModelRepo.find(folder)


def changed(repo: ModelRepo, path: str = "README.md") -> None:
    (repo.root / path).write_text("Changed\n", encoding="utf-8")
    git(repo.root, "add", path)
    git(repo.root, "commit", "-qm", f"Change {path}")


@pytest.mark.parametrize("depth", [1, 2])
def test_the_oldest_commit_of_a_shallow_clone_names_no_bake(repo, depth):
    baked(repo, "one")
    changed(repo)
    changed(repo, "notes.md")
    clone = shallow(repo, depth)
    with pytest.raises(RepoError, match="this clone is shallow and begins with") as caught:
        clone.names_bakes([f"HEAD~{depth - 1}"])
    assert "`git fetch --unshallow`" in (caught.value.hint or "")
    git(clone.root, "fetch", "-q", "--unshallow")
    assert clone.names_bakes([f"HEAD~{depth - 1}"]) is None


def test_a_shallow_clone_s_other_commits_and_names_are_what_they_are(repo):
    baked(repo, "one")
    baked(repo, "two")
    clone = shallow(repo, 2)
    assert [bake.base_name for bake in clone.names_bakes(["HEAD"]) or []] == ["two"]
    changed(clone)
    assert clone.names_bakes(["HEAD"]) is None
    clone.revert(["two"], Quiet())
    assert [bake.base_name for bake in clone.bakes()] == ["one"]


def test_a_first_commit_with_bakes_has_them_named(repo):
    baked(repo, "one")
    second = baked(repo, "two")
    git(repo.root, "checkout", "-q", "--orphan", "fresh")
    git(repo.root, "commit", "-qm", "Everything anew")
    head = repo.git.head()
    with pytest.raises(RepoError, match="is the first of its history") as caught:
        repo.revert(["HEAD"], Quiet())
    assert repo.git.head() == head
    command = (caught.value.hint or "").split("`")[1]
    assert command.startswith(f"bgit revert {second.bake} one_")
    revert(repo, *command.split()[2:])
    assert repo.bakes() == []


def test_a_first_commit_without_bakes_is_git_s_to_revert(repo):
    first = git(repo.root, "rev-list", "--max-parents=0", "HEAD")
    baked(repo, "one")
    assert repo.names_bakes([first]) is None


def with_files(repo: ModelRepo, *paths: str) -> str:
    """Put files into the last commit; return it."""
    for path in paths:
        (repo.root / path).write_text("Changed\n", encoding="utf-8")
        git(repo.root, "add", path)
    git(repo.root, "commit", "-q", "--amend", "--no-edit")
    return git(repo.root, "rev-parse", "HEAD")


def test_a_commit_with_other_files_is_refused_with_both_ways(repo):
    model = baked(repo, "one")
    commit = with_files(repo, "README.md", "notes ä.md")
    with pytest.raises(RepoError, match="changed other files, too") as caught:
        repo.revert(["HEAD"], Quiet())
    assert caught.value.message.endswith("README.md, notes ä.md")
    assert repo.git.head() == commit
    of_bgit, of_git = (caught.value.hint or "").split("`")[1::2]
    assert (of_bgit, of_git) == (f"bgit revert {model.bake}", f"git revert {commit[:10]}")
    revert(repo, model.bake)
    assert repo.bakes() == []
    assert (read(repo, "README.md"), read(repo, "notes ä.md")) == ("Changed\n", "Changed\n")


def test_git_takes_back_all_of_a_commit_with_other_files(repo):
    baked(repo, "one")
    readme = read(repo, "README.md")
    with_files(repo, "README.md")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert (repo.bakes(), read(repo, "README.md")) == ([], readme)


def test_many_other_files_are_counted(repo):
    baked(repo, "one")
    with_files(repo, *(f"{number}.md" for number in range(7)))
    with pytest.raises(RepoError, match=r"(?m)0\.md, 1\.md, 2\.md, 3\.md, 4\.md and 2 more$"):
        repo.names_bakes(["HEAD"])


def test_a_commit_with_other_files_beside_one_without_bakes_is_git_s(repo):
    baked(repo, "one")
    with_files(repo, "README.md")
    changed(repo, "notes.md")
    assert repo.names_bakes(["HEAD", "HEAD~1"]) is None
