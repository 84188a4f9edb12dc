"""One bake, one commit: whole, once, and with nothing of anyone else's in it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import STEP, baked, committed, git, made, result_of, stored


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    return made(workplace / "a model")


def record(repo: ModelRepo, plan, notes: Quiet | None = None) -> str:
    return repo.record(
        plan, result_of(plan), launched=repo.launch_blob(), reporter=notes or Quiet()
    )


def hook(repo: ModelRepo, name: str, script: str) -> Path:
    path = repo.git.common_dir / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def subjects(repo: ModelRepo) -> list[str]:
    return git(repo.root, "log", "--format=%s").splitlines()


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
    with pytest.raises(RepoError, match="taken back"):
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
    (two,) = repo.bakes()
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


FINISH = (
    "from bakery.repo.model_repo import ModelRepo; from bakery.reporting import Quiet; "
    "ModelRepo.find().finish_pending(Quiet())"
)

CHILD = """
import os
from pathlib import Path
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import result_of
repo = ModelRepo.find()
(repo.git.git_dir / "bgit.pid").write_text(str(os.getpid()))
plan = repo.plan()
repo.record(plan, result_of(plan), launched=repo.launch_blob(), reporter=Quiet())
"""

REVERT = """
import os
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
repo = ModelRepo.find()
(repo.git.git_dir / "bgit.pid").write_text(str(os.getpid()))
repo.revert(["yoda"], Quiet())
"""

KILL_BGIT = "kill -9 $(cat .git/bgit.pid)"


def killed_recording(repo: ModelRepo, *, at: str, code: str = CHILD, more: str = "") -> None:
    """Record (or what `code` does) in a process of its own, which git's hook `at` kills."""
    killer = hook(repo, at, KILL_BGIT + more)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=repo.root,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == -9, done.stderr
    killer.unlink()


@pytest.mark.parametrize("at", ["pre-commit", "commit-msg", "post-commit"])
def test_a_killed_recording_is_completed_once(repo, at):
    plan = committed(repo, "yoda")
    stored(repo, plan)
    (repo.root / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "mine.txt")
    killed_recording(repo, at=at)
    wait_for_git(repo)
    for _ in range(2):
        repo.finish_pending(Quiet())
        assert subjects(repo) == [
            "bake: yoda (KL 1.23 → 0.0457)",
            "Configure yoda",
            "init: yoda",
        ]
        assert git(repo.root, "status", "--porcelain") == "A  mine.txt"
        assert repo.state().parent == plan.model_ref(STEP)
        assert repo.store.journals() == []


def test_a_commit_that_outlives_its_killed_parent_is_not_made_twice(repo):
    plan = committed(repo, "yoda")
    killed_recording(repo, at="pre-commit")
    repo.finish_pending(Quiet())  # the orphaned git may still be at work
    wait_for_git(repo)
    repo.finish_pending(Quiet())
    assert subjects(repo)[1:] == ["Configure yoda", "init: yoda"]
    assert repo.is_recorded(plan.bake.id)
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_repository_that_was_moved_meanwhile_is_completed_all_the_same(repo, workplace):
    plan = committed(repo, "yoda")
    killed_recording(repo, at="pre-commit", more="; exit 1")
    repo.root.rename(workplace / "moved")
    moved = ModelRepo.find(workplace / "moved")
    moved.finish_pending(Quiet())
    assert moved.is_recorded(plan.bake.id)
    assert moved.store.journals() == []


def test_killed_between_result_and_journal_the_next_run_records(repo):
    plan = committed(repo, "yoda")
    result = stored(repo, plan)
    repo.finish_pending(Quiet())
    assert not repo.is_recorded(plan.bake.id)
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    assert repo.is_recorded(plan.bake.id)


def test_killed_between_index_and_folder_the_folder_follows(repo):
    committed(repo, "yoda")
    killed_recording(repo, at="post-commit")
    wait_for_git(repo)
    git(repo.root, "read-tree", "HEAD")
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.plan("worktree").is_empty


@pytest.mark.parametrize("followed", [[], [".bread"], ["recipe.yml"], [".bread", "input.yml"]])
def test_killed_in_the_middle_of_the_folder_the_rest_follows(repo, followed):
    committed(repo, "yoda")
    killed_recording(repo, at="post-commit")
    wait_for_git(repo)
    (repo.root / "mine.txt").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "mine.txt")
    git(repo.root, "update-index", "--cacheinfo", index_row(repo, "recipe.yml"))
    if followed:
        rows = [row for path in followed for row in ("--cacheinfo", index_row(repo, path))]
        git(repo.root, "update-index", *rows)
        git(repo.root, "checkout-index", "-f", "--", *followed)
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == "A  mine.txt"
    assert repo.plan("worktree").is_empty
    assert repo.store.journals() == []


def index_row(repo: ModelRepo, path: str) -> str:
    """Return what `update-index` takes to hold the committed file."""
    return f"100644,{git(repo.root, 'rev-parse', f'HEAD:{path}')},{path}"


@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_the_journal_the_bake_is_recorded_or_the_journal_was_never_there(repo, torn):
    plan = committed(repo, "yoda")
    result = stored(repo, plan)
    killed_recording(repo, at="pre-commit", more="; exit 1")
    (path,) = repo.store.journals()
    if torn:  # it gets its own name only when it is whole
        path.rename(path.with_name(f".{path.name}.1.tmp"))
    repo.finish_pending(Quiet())
    assert repo.is_recorded(plan.bake.id) != torn
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    assert len(subjects(repo)) == 3
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_killed_revert_is_completed_where_its_commit_was_made(repo):
    baked(repo, "yoda")
    killed_recording(repo, at="post-commit", code=REVERT)
    repo.finish_pending(Quiet())
    assert subjects(repo)[0] == "revert: yoda"
    assert git(repo.root, "status", "--porcelain") == ""
    assert repo.state().parent is None


def test_a_revert_that_was_killed_before_its_commit_is_let_go(repo):
    model = baked(repo, "yoda")
    killed_recording(repo, at="pre-commit", code=REVERT, more="; exit 1")
    notes = Quiet()
    repo.finish_pending(notes)
    assert notes.notes == ["`revert: yoda` was interrupted; it is not begun, so run it again"]
    assert repo.state().parent == model
    assert repo.store.journals() == []


def test_an_edit_made_between_commit_and_refresh_is_kept(repo):
    committed(repo, "yoda")
    killed_recording(repo, at="post-commit")
    wait_for_git(repo)
    (repo.root / "input.yml").write_text("BAKE:\n  name: mine\n", encoding="utf-8")
    repo.finish_pending(Quiet())
    assert (repo.root / "input.yml").read_text("utf-8") == "BAKE:\n  name: mine\n"
    assert git(repo.root, "status", "--porcelain") == " M input.yml"


def test_a_locked_index_after_the_commit_is_caught_up_by_the_next_command(repo):
    plan = committed(repo, "yoda")
    hook(repo, "post-commit", "touch .git/index.lock")
    notes = Quiet()
    record(repo, plan, notes)
    assert any("could not follow yet" in note for note in notes.notes)
    (repo.git.git_dir / "index.lock").unlink()
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == ""


def wait_for_git(repo: ModelRepo, subject: str = "bake: yoda") -> None:
    """Let a git that lost its parent make its commit."""
    until = time.monotonic() + 20
    while not subjects(repo)[0].startswith(subject) and time.monotonic() < until:
        time.sleep(0.02)
