"""One bake, one commit: whole, once, and with nothing of anyone else's in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import (
    FINISH,
    STEP,
    baked,
    committed,
    git,
    hook,
    made,
    result_of,
    stored,
    subjects,
)


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    return made(workplace / "a model")


def record(repo: ModelRepo, plan, notes: Quiet | None = None) -> str:
    return repo.record(
        plan, result_of(plan), launched=repo.launch_blob(), reporter=notes or Quiet()
    )


def test_a_bake_is_one_commit_that_holds_recipe_state_and_configuration(repo):
    plan = committed(repo, "yoda_bake")
    commit = record(repo, plan)
    assert subjects(repo) == [
        "bake: yoda_bake (KL 1.23 → 0.0457)",
        "Configure yoda_bake",
        "init: yoda",
    ]
    assert git(repo.root, "show", "--format=", "--name-only", commit).split() == [
        ".bread",
        "input.yml",
        "recipe.yml",
    ]
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.state().parent == plan.model_ref(STEP)
    assert repo.is_recorded(plan.bake.id)
    assert repo.plan().is_empty
    assert repo.store.journals() == []


def test_the_body_names_model_parent_and_digest(repo):
    first, second = baked(repo, "one"), baked(repo, "two")
    body = git(repo.root, "log", "-1", "--format=%b")
    assert f"Model:  {second}\nParent: {first}\nDigest: sha256:{second.bake_id * 4}" in body


def test_the_seed_page_s_grep_shows_the_parent(repo):
    bread = repo.root / ".bread"
    grep = ["grep", "PARENT_MODEL", str(bread)]
    assert subprocess.check_output(grep, text=True) == "PARENT_MODEL =\n"
    model = baked(repo, "yoda")
    assert subprocess.check_output(grep, text=True) == f"PARENT_MODEL = {model}\n"


def test_what_the_user_has_staged_stays_staged_and_out_of_the_commit(repo):
    plan = committed(repo, "yoda")
    (repo.root / "notes.txt").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "notes.txt")
    (repo.root / "README.md").write_text("edited\n", encoding="utf-8")
    record(repo, plan)
    assert git(repo.root, "status", "--porcelain").splitlines() == [" M README.md", "A  notes.txt"]
    assert "notes.txt" not in git(repo.root, "ls-tree", "--name-only", "HEAD")


def test_the_next_configuration_is_kept_where_it_is_being_written(repo):
    plan = committed(repo, "yoda")
    launched = repo.launch_blob()
    (repo.root / "input.yml").write_text("# later\nBAKE:\n  name: next\n", encoding="utf-8")
    notes = Quiet()
    repo.record(plan, result_of(plan), launched=launched, reporter=notes)
    assert (repo.root / "input.yml").read_text("utf-8") == "# later\nBAKE:\n  name: next\n"
    assert git(repo.root, "status", "--porcelain") == " M input.yml"
    assert any("left as it is" in note for note in notes.notes)


def test_a_staged_next_configuration_is_kept(repo):
    plan = committed(repo, "yoda")
    launched = repo.launch_blob()
    (repo.root / "input.yml").write_text("BAKE:\n  name: next\n", encoding="utf-8")
    git(repo.root, "add", "input.yml")
    repo.record(plan, result_of(plan), launched=launched, reporter=Quiet())
    assert git(repo.root, "status", "--porcelain") == "M  input.yml"


def test_a_refusing_hook_leaves_all_as_it_was_and_the_bake_can_be_recorded_again(repo):
    plan = committed(repo, "yoda")
    before = git(repo.root, "ls-files", "-s")
    refuses = hook(repo, "pre-commit", "echo 'no bakes on Fridays' >&2; exit 1")
    with pytest.raises(RepoError, match="no bakes on Fridays") as caught:
        record(repo, plan)
    assert "bgit run bake" in (caught.value.hint or "")
    assert git(repo.root, "ls-files", "-s") == before
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.store.journals() == []
    assert not list(repo.git.git_dir.glob("bakery-index*"))
    refuses.unlink()
    record(repo, plan)
    assert repo.is_recorded(plan.bake.id)


def test_a_commit_msg_hook_is_asked_too(repo):
    plan = committed(repo, "yoda")
    hook(repo, "commit-msg", 'grep -q "^feat:" "$1" || { echo "want feat:"; exit 1; }')
    with pytest.raises(RepoError, match="want feat:"):
        record(repo, plan)


def test_a_failing_signature_is_an_error_with_git_s_words(repo):
    plan = committed(repo, "yoda")
    git(repo.root, "config", "commit.gpgsign", "true")
    git(repo.root, "config", "gpg.program", "false")
    with pytest.raises(RepoError, match="gpg failed to sign"):
        record(repo, plan)
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_hook_that_rewrites_what_is_recorded_is_taken_back(repo):
    plan = committed(repo, "yoda")
    head = repo.git.head()
    hook(repo, "pre-commit", "git add -u")
    with pytest.raises(RepoError, match="and was undone"):
        record(repo, plan)
    assert repo.git.head() == head
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_hook_that_leaves_a_process_behind_does_not_hold_the_command(repo):
    plan = committed(repo, "yoda")
    hook(repo, "post-commit", "sleep 30 &\necho $! > sleeper")
    record(repo, plan)
    pid = (repo.root / "sleeper").read_text("utf-8").strip()
    subprocess.run(["kill", pid], check=True)


def test_a_file_that_a_hook_adds_is_not_left_staged_as_deleted(repo):
    plan = committed(repo, "yoda")
    hook(repo, "pre-commit", "echo stamp > stamp.txt; git add stamp.txt")
    record(repo, plan)
    assert git(repo.root, "status", "--porcelain") == ""


def test_bgit_in_its_own_hook_does_not_record_twice(repo):
    plan = committed(repo, "yoda")
    hook(repo, "pre-commit", f'"{sys.executable}" -c "{FINISH}" || exit 1')
    record(repo, plan)
    assert subjects(repo)[1] == "Configure yoda"


def beside(repo: ModelRepo) -> tuple[str, str, Quiet]:
    """Record `one`, begun before `two` became the current model; return both models' names."""
    plan = committed(repo, "one")
    launched = repo.launch_blob()
    stored(repo, plan)
    two = baked(repo, "two")
    notes = Quiet()
    repo.record(plan, result_of(plan), launched=launched, reporter=notes)
    return str(plan.model_ref(STEP)), str(two), notes


def test_a_bake_whose_branch_has_moved_on_is_recorded_beside_the_current_model(repo):
    one, two, notes = beside(repo)
    assert str(repo.state().parent) == two
    assert [(str(bake.model), bake.parent) for bake in repo.bakes()] == [(two, None), (one, None)]
    assert subjects(repo)[0] == "bake: one (KL 1.23 → 0.0457)"
    assert git(repo.root, "show", "--format=", "--name-only").split() == ["recipe.yml"]
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.store.journals() == []
    (note,) = [note for note in notes.notes if "beside" in note]
    assert note.startswith(f"main has moved to {two} since {one.split('/')[2]} was begun on the ba")
    assert note.endswith("`bgit adopt one` makes it the current model")


def test_what_was_recorded_beside_can_be_taken_back_alone(repo):
    _, two, _ = beside(repo)
    repo.revert(["one"], Quiet())
    assert str(repo.state().parent) == two
    assert [str(bake.model) for bake in repo.bakes()] == [two]


def test_a_bake_whose_parent_was_taken_back_meanwhile_names_its_real_parent(repo):
    parent = baked(repo, "one")
    plan = committed(repo, "two")
    launched = repo.launch_blob()
    repo.revert(["one"], Quiet())
    notes = Quiet()
    repo.record(plan, result_of(plan), launched=launched, reporter=notes)
    one, two = repo.bakes()
    assert one.model == parent  # its block comes along: what was made on it needs it
    assert (two.base_name, two.parent) == ("two", parent)
    assert repo.state().parent is None
    assert any("recorded beside it" in note for note in notes.notes)
    assert two.id in repo.lineage().bakes


def test_a_branch_that_came_back_to_the_parent_takes_the_bake_as_its_own(repo):
    plan = committed(repo, "one")
    launched = repo.launch_blob()
    baked(repo, "two")
    repo.revert(["two"], Quiet())
    repo.record(plan, result_of(plan), launched=launched, reporter=Quiet())
    assert repo.state().parent == plan.model_ref(STEP)


def test_one_bake_may_wait_for_two_branches(repo):
    plan = committed(repo, "yoda")
    launched = repo.launch_blob()
    model, result = plan.model_ref(STEP), result_of(plan)
    git(repo.root, "branch", "other")
    git(repo.root, "switch", "-qc", "elsewhere")
    for branch in ("main", "other"):
        with pytest.raises(RepoError, match="was left for"):
            repo.record_model(model, result, launched, branch, Quiet())
    for branch in ("main", "other"):
        git(repo.root, "switch", "-q", branch)
        repo.finish_pending(Quiet())
        assert repo.is_recorded(plan.bake.id)
    assert repo.store.journals() == []


def test_a_recorded_bake_is_not_recorded_twice(repo):
    plan = committed(repo, "yoda")
    launched = repo.launch_blob()
    first = repo.record(plan, result_of(plan), launched=launched, reporter=Quiet())
    assert repo.record(plan, result_of(plan), launched=launched, reporter=Quiet()) == first


def test_a_changed_bread_waits_with_its_journal_and_then_is_recorded(repo):
    plan = committed(repo, "yoda")
    with (repo.root / ".bread").open("a", encoding="utf-8") as bread:
        bread.write("# mine\n")
    with pytest.raises(RepoError, match=r"changed and not committed: \.bread"):
        record(repo, plan)
    git(repo.root, "restore", ".bread")
    repo.finish_pending(Quiet())
    assert repo.is_recorded(plan.bake.id)
    assert git(repo.root, "status", "--porcelain") == ""


def test_on_another_branch_a_bake_waits_for_its_own(repo):
    plan = committed(repo, "yoda")
    launched = repo.launch_blob()
    git(repo.root, "switch", "-qc", "other")
    with pytest.raises(RepoError, match="branch 'main' was left for 'other'"):
        repo.record(plan, result_of(plan), launched=launched, reporter=Quiet())
    notes = Quiet()
    repo.finish_pending(notes)
    assert any("`git switch main`" in note for note in notes.notes)
    assert not repo.is_recorded(plan.bake.id)
    git(repo.root, "switch", "-q", "main")
    repo.finish_pending(Quiet())
    assert repo.is_recorded(plan.bake.id)
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_branch_has_recorded_what_its_own_recipe_has(repo):
    plan = committed(repo, "yoda")
    git(repo.root, "branch", "other")
    git(repo.root, "tag", "main", "other")
    record(repo, plan)
    git(repo.root, "switch", "-q", "other")
    assert (repo.launch_branch, repo.is_recorded(plan.bake.id)) == ("main", False)
    assert repo.is_recorded(plan.bake.id, branch="main")
    assert not repo.is_recorded(plan.bake.id, branch="other")
    assert not repo.is_recorded(plan.bake.id, branch="gone")


def test_a_bake_for_a_branch_that_is_gone_is_let_go(repo):
    plan = committed(repo, "yoda")
    launched = repo.launch_blob()
    git(repo.root, "switch", "-qc", "other")
    with pytest.raises(RepoError):  # the test above says which
        repo.record(plan, result_of(plan), launched=launched, reporter=Quiet())
    git(repo.root, "branch", "-qD", "main")
    notes = Quiet()
    repo.finish_pending(notes)
    assert "which is gone" in notes.notes[0]
    assert repo.store.journals() == []


def test_a_conflict_in_the_recipe_is_refused_before_anything_is_written(repo):
    plan = committed(repo, "yoda")
    recipe = repo.root / "recipe.yml"
    recipe.write_text("<<<<<<< ours\n" + recipe.read_text("utf-8"), encoding="utf-8")
    git(repo.root, "commit", "-qam", "Oops")
    with pytest.raises(RepoError, match=r"recipe\.yml:1: a merge conflict"):
        record(repo, plan)
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_locked_index_after_the_commit_is_caught_up_by_the_next_command(repo):
    plan = committed(repo, "yoda")
    hook(repo, "post-commit", "touch .git/index.lock")
    notes = Quiet()
    record(repo, plan, notes)
    assert any("could not follow yet" in note for note in notes.notes)
    (repo.git.git_dir / "index.lock").unlink()
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == ""
