"""What `bgit gc` takes for needed: by branches, tags, stashes, working trees, reflogs, jobs."""

from __future__ import annotations

import shutil

import pytest

from bakery.app import gc
from bakery.errors import BakeryError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import job
from bakery.store.job import Job
from bakery.store.processes import ProcessId
from tests.support.collecting import (
    begun,
    collected,
    configured,
    contents,
    forgotten,
    here,
    ids,
    leftovers,
    unneeded,
)
from tests.support.recorded import configuration, git


def test_exactly_what_is_unreachable_is_removed(demo, bakes):
    """With branches, tags, a stash, a worktree, a running job, drafts and a reverted bake."""
    git(demo.root, "tag", "v1", "tagged")
    git(demo.root, "switch", "-q", "stashed")
    configured(demo.root, "in_stash")
    kept = {begun(demo, "in_stash")}
    git(demo.root, "stash", "-q")
    git(demo.root, "switch", "-q", "exp")
    configured(demo.root, "in_job")
    git(demo.root, "commit", "-qam", "Configure the job")
    launched = git(demo.root, "rev-parse", "HEAD")
    kept |= {begun(demo, "in_job")}
    git(demo.root, "reset", "-q", "--hard", "HEAD~1")
    running(demo, launched)
    git(demo.root, "worktree", "add", "-q", "-b", "tree", "../tree", "main")
    tree = ModelRepo.find(demo.root.parent / "tree")
    configured(tree.root, "in_tree")
    git(tree.root, "add", "input.yml")
    kept |= {begun(demo, "in_tree", tree)}
    git(demo.root, "switch", "-q", "main")
    demo.revert(["two"], Quiet())
    git(tree.root, "checkout", "-q", "--detach", "exp")
    git(demo.root, "branch", "-qD", "tree")
    configured(demo.root, "draft")
    kept |= {begun(demo, "draft")}
    gone = unneeded(demo)
    names = ("one", "three", "four", "six", "two")
    kept |= ids(*(bakes[name] for name in names))
    forgotten(demo, "tagged", "deleted")
    # The revert is a commit of this branch: its parent is in no reflog any more.
    kept -= {bakes["two"].model.bake_id, bakes["two"].target, bakes["two"].stim}
    git(demo.root, "update-ref", "-d", "ORIG_HEAD")
    before = contents(demo, kept)
    assert gone in here(demo)
    found = collected(demo)
    assert here(demo) == kept
    assert {left.path.name for left in found.removed} == {gone, *ids(bakes["two"], bakes["five"])}
    assert contents(demo, kept) == before
    assert collected(demo).removed == ()


def running(repo: ModelRepo, commit: str) -> Job:
    """Write the file of a job that this process does."""
    blob = git(repo.root, "rev-parse", f"{commit}:input.yml")
    made = Job(
        "abc123", str(repo.git.common_dir), str(repo.root), "exp", commit, blob, ("stim",),
        ("in_job_target",), state="running", process=ProcessId.own(), created=job.now(),
    )  # fmt: skip
    return made.write(repo.store)


def test_a_reverted_bake_stays_as_long_as_the_reflog_has_it(demo, bakes):
    demo.revert(["two"], Quiet())
    configured(demo.root, "another")
    git(demo.root, "commit", "-qam", "Another")
    assert collected(demo).removed == ()
    forgotten(demo, "deleted")
    git(demo.root, "update-ref", "-d", "ORIG_HEAD")
    assert {left.path.name for left in collected(demo).removed} == ids(bakes["two"], bakes["five"])


UNCLEAR = {
    "a recipe": "recipe.yml",
    "a job": ".git/bakery/jobs/aa.json",
    "a commit to be made": ".git/bakery/pending/x.json",
}


@pytest.mark.parametrize("what", UNCLEAR)
def test_where_something_cannot_be_read_no_object_goes(demo, what):
    gone, left = unneeded(demo), leftovers(demo.store.root)
    path = demo.root / UNCLEAR[what]
    path.parent.mkdir(exist_ok=True)
    path.write_text("x: [", encoding="utf-8")
    quiet = Quiet()
    found = gc.gc(demo, prune="now", reporter=quiet)
    assert gone in here(demo)
    assert {one.path for one in found.removed} == {
        path for path in left if "repl" not in path.parts[-2] and "reproduced" not in path.parts
    }
    assert "cannot be read" in quiet.notes[0]


def test_a_configuration_that_names_a_model_which_is_gone_may_need_anything(demo):
    gone = unneeded(demo)
    text = configuration("yoda").replace(
        "  generators:", "  model_name: a/b/c_0123456789abcdef/1\n  generators:"
    )
    (demo.root / "input.yml").write_text(text, encoding="utf-8")
    quiet = Quiet()
    assert gc.gc(demo, prune="now", reporter=quiet).removed == ()
    assert "input.yml in" in quiet.notes[0]
    assert gone in here(demo)


def test_a_working_tree_that_is_not_there_may_need_anything(demo):
    """Moved by hand, say: what was added in it is needed, and git still knows it."""
    git(demo.root, "worktree", "add", "-q", "-b", "tree", "../tree", "main")
    tree = ModelRepo.find(demo.root.parent / "tree")
    configured(tree.root, "in_tree")
    git(tree.root, "add", "input.yml")
    needed = begun(demo, "in_tree", tree)
    tree.root.rename(tree.root.with_name("moved"))
    quiet = Quiet()
    assert gc.gc(demo, prune="now", reporter=quiet).removed == ()
    assert "tree is not there (`git worktree prune` forgets it" in quiet.notes[0]
    assert needed in here(demo)


def test_a_configuration_that_is_none_needs_nothing(demo):
    gone = unneeded(demo)
    (demo.root / "input.yml").write_text("PROMPT: [", encoding="utf-8")
    git(demo.root, "add", "input.yml")
    assert [left.path.name for left in collected(demo).removed] == [gone]


def test_a_store_of_several_repositories_is_tidied_only_where_all_are_named(
    demo, bakes, workplace, monkeypatch
):
    shared = workplace / "shared"
    shutil.move(demo.store.root, shared)
    monkeypatch.setenv("BGIT_STORE", str(shared))
    git(workplace, "clone", "-q", "demo", "other")
    first, other = ModelRepo.find(demo.root), ModelRepo.find(workplace / "other")
    configured(other.root, "in_other")
    needed, gone = begun(other, "in_other"), unneeded(first)
    quiet = Quiet()
    assert gc.gc(first, prune="now", reporter=quiet).removed == ()
    assert "--beside REPOSITORY" in quiet.notes[0]
    found = collected(first, also=[other.root])
    assert [left.path.name for left in found.removed] == [gone]
    assert needed in here(first)
    with pytest.raises(BakeryError, match="not in a git repository"):
        collected(first, also=[workplace])


@pytest.mark.parametrize("how", ["BGIT_STORE", "link"])
def test_a_store_that_another_repository_has_used_is_not_taken_for_ones_own(
    demo, workplace, monkeypatch, how
):
    git(workplace, "clone", "-q", "demo", "other")
    if how == "link":
        (workplace / "other" / ".git" / "bakery").symlink_to(demo.store.root)
    else:
        monkeypatch.setenv("BGIT_STORE", str(demo.store.root))
    other = ModelRepo.find(workplace / "other")
    configured(other.root, "in_other")
    needed = begun(other, "in_other")
    with other.store.lock(other.store.stim(needed), "bgit run"):
        pass  # as its stage does while it writes
    monkeypatch.delenv("BGIT_STORE", raising=False)
    quiet = Quiet()
    for repo in (ModelRepo.find(demo.root), ModelRepo.find(other.root)):
        assert gc.gc(repo, prune="now", reporter=quiet).removed == ()
    assert "--beside REPOSITORY" in quiet.notes[0]
    unneeded(demo)
    assert collected(ModelRepo.find(demo.root), also=[other.root]).removed
    assert needed in here(demo)


def test_another_repositorys_job_speaks_for_it(demo, workplace, monkeypatch):
    git(workplace, "clone", "-q", "demo", "other")
    monkeypatch.setenv("BGIT_STORE", str(demo.store.root))
    other = ModelRepo.find(workplace / "other")
    configured(other.root, "in_other")
    needed = begun(other, "in_other")
    blob = git(other.root, "rev-parse", "HEAD:input.yml")
    commit = git(other.root, "rev-parse", "HEAD")
    Job(
        "abc123", str(other.git.common_dir), str(other.root), "main", commit, blob, ("stim",), (),
        state="complete", created=job.now(),
    ).write(other.store)  # fmt: skip
    monkeypatch.delenv("BGIT_STORE")
    collected(ModelRepo.find(demo.root))
    assert needed in here(demo)
