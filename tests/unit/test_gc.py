"""bgit gc: what nothing needs leaves the store, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from bakery.app import gc
from bakery.app.gc import Collected
from bakery.errors import BakeryError, ConfigError
from bakery.identity import StimRequest
from bakery.records import Prompt
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import job, results
from bakery.store.job import Job
from bakery.store.processes import ProcessId
from bakery.store.store import BusyError
from tests.support.commands import typed_here
from tests.support.recorded import configuration, git
from tools import made_store
from tools.made_store import Baked
from tools.planted import NOBODY

BRANCHES = {
    "main": ["one", "two"],
    "exp": ["one", "three"],
    "tagged": ["one", "four"],
    "deleted": ["one", "five"],
    "stashed": ["one", "six"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Baked]]:
    root = tmp_path_factory.mktemp("gc") / "demo"
    return root, made_store.build(root, BRANCHES)


@pytest.fixture
def demo(made: tuple[Path, dict[str, Baked]], workplace: Path) -> ModelRepo:
    """A repository with branches; what is on `deleted` alone nothing needs, but for its branch."""
    shutil.copytree(made[0], workplace / "demo")
    return ModelRepo.find(workplace / "demo")


@pytest.fixture
def bakes(made: tuple[Path, dict[str, Baked]]) -> dict[str, Baked]:
    return made[1]


def collected(repo: ModelRepo, prune: str = "now", **more: object) -> Collected:
    return gc.gc(repo, prune=prune, reporter=Quiet(), **more)  # type: ignore[arg-type]


def here(repo: ModelRepo) -> set[str]:
    """Return the ids of what the store has."""
    root = repo.store.root
    return {path.name for kind in ("stim", "target", "bake") for path in (root / kind).iterdir()}


def ids(*bakes: Baked) -> set[str]:
    return {name for bake in bakes for name in (bake.model.bake_id, bake.stim, bake.target)}


def forgotten(repo: ModelRepo, *branches: str) -> None:
    """Delete branches, and what reflogs know of them."""
    git(repo.root, "branch", "-qD", *branches)
    git(repo.root, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")


def begun(repo: ModelRepo, name: str, of: ModelRepo | None = None) -> str:
    """Write the questions of a configuration, as its first stage does; return their id."""
    plan = (of or repo).plan_of(configuration(name), "input.yml")
    (target,) = plan.targets
    made_store.questions_into(repo.store.stim(target.stim.id), target.stim, ["Who are you?"])
    return target.stim.id


def configured(root: Path, name: str) -> None:
    (root / "input.yml").write_text(configuration(name), encoding="utf-8")


def unneeded(repo: ModelRepo, question: str = "Who?", **generator: object) -> str:
    """Write questions that nothing asks for; return their id."""
    generators = ({"type": "hardcoded", "questions": [question], **generator},)
    request = StimRequest(Prompt(), generators, {})
    made_store.questions_into(repo.store.stim(request.id), request, [question])
    return request.id


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


def contents(repo: ModelRepo, kept: set[str]) -> dict[str, bytes]:
    root = repo.store.root
    return {
        str(path): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and kept & set(path.parts)
    }


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


def test_a_dry_run_removes_nothing(demo, bakes):
    forgotten(demo, "deleted")
    before = here(demo)
    found = collected(demo, dry_run=True)
    assert {left.path.name for left in found.removed} == ids(bakes["five"])
    assert found.bytes > 0
    assert here(demo) == before


@pytest.mark.parametrize("prune", ["2.weeks.ago", "never"])
def test_what_is_young_stays(demo, prune):
    gone = unneeded(demo)
    (left,) = collected(demo, prune).kept
    assert (left.path.name, left.kept) == (gone, "too young")
    assert gone in here(demo)


def test_the_age_is_gits_own_where_nothing_is_said(demo):
    gone = unneeded(demo)
    assert gc.gc(demo, reporter=Quiet()).removed == ()
    git(demo.root, "config", "gc.pruneExpire", "now")
    assert [left.path.name for left in gc.gc(demo, reporter=Quiet()).removed] == [gone]
    for date in ("--exec=x", "tomorrov"):
        with pytest.raises(ConfigError, match="no date"):
            collected(demo, date)


def test_what_stays_keeps_what_it_was_made_of(demo, bakes):
    """A young bake that nothing names keeps its answers, their questions, and its parent."""
    three = bakes["three"]
    forgotten(demo, "exp", "deleted", "tagged", "stashed")
    for name in ids(*(bakes[n] for n in ("three", "four", "five", "six"))):
        for path in list(demo.store.root.glob(f"*/{name}")):
            for old in [*path.rglob("*"), path]:
                os.utime(old, (1e9, 1e9))
    os.utime(demo.store.bake(three.model.bake_id) / "bake.json")
    collected(demo, "2.weeks.ago")
    assert here(demo) == ids(bakes["one"], bakes["two"], three)


def test_what_a_process_holds_stays(demo):
    gone = unneeded(demo)
    with demo.store.lock(demo.store.stim(gone), "bgit run stim"):
        (left,) = collected(demo).kept
    assert (left.kept, gone in here(demo)) == ("in use", True)
    assert [left.path.name for left in collected(demo).removed] == [gone]


def test_what_a_training_reads_stays_while_it_works(demo, bakes):
    five = bakes["five"]
    forgotten(demo, "deleted")
    with demo.store.lock(demo.store.bake(five.model.bake_id), "bgit run bake"):
        assert collected(demo).removed == ()
    assert len(collected(demo).removed) == 3


def test_what_a_run_has_found_made_is_as_young_as_the_run(demo):
    gone = demo.store.stim(unneeded(demo))
    for path in (*gone.iterdir(), gone):
        os.utime(path, (1e9, 1e9))
    results.freshen(gone)
    assert collected(demo, "2.weeks.ago").removed == ()
    os.utime(gone, (1e9, 1e9))
    assert [left.path for left in collected(demo, "2.weeks.ago").removed] == [gone]


def test_only_one_collects_at_a_time(demo):
    with demo.store.lock(demo.store.root / "gc", "bgit gc"), pytest.raises(BusyError, match="gc"):
        collected(demo)


def test_from_python(demo):
    import bakery

    gone = unneeded(demo)
    repo = bakery.Repo(demo.root, progress=False)
    assert repo.fsck().is_sound
    assert [found.kind for found in repo.fsck(whole=False).findings] == ["orphaned"]
    assert [left.path.name for left in repo.gc(prune="now", dry_run=True).removed] == [gone]
    assert repo.gc(prune="now").as_data()["schema"] == 1
    assert gone not in here(demo)


def test_a_run_that_begins_meanwhile_gets_it_back(demo):
    gone = begun(demo, "late")
    found = collected(demo, dry_run=True)
    configured(demo.root, "late")  # what `gc` is about to remove is needed now
    before = contents(demo, {gone})
    removed, kept = gc.remove(demo, found.removed, ())
    assert (removed, [left.kept for left in kept]) == ([], ["needed by now"])
    assert contents(demo, {gone}) == before


def test_a_killed_collection_is_undone(demo, bakes):
    one = demo.store.bake(bakes["one"].model.bake_id)
    aside = demo.store.root / f"gc-{NOBODY}"
    aside.mkdir()
    places = [f"bake/{one.name}", "../../../../elsewhere"]
    (aside / "moved.json").write_text(json.dumps(places), encoding="utf-8")
    one.rename(aside / "0")
    quiet = Quiet()
    gc.gc(demo, prune="now", reporter=quiet)
    assert one.is_dir()
    assert not aside.exists()
    assert "what it had moved aside is back" in quiet.notes[0]


def test_what_an_endpoint_was_paid_for_stays_until_it_is_asked_for(demo):
    hosted = unneeded(demo, type="oneshot_qs", model="hosted:gpt-5-mini")
    word = unneeded(demo, type="oneshot_qs", model="gpt-5-mini")
    own = unneeded(demo, "Why?")
    found = collected(demo)
    assert [left.path.name for left in found.removed] == [own]
    assert {(left.path.name, left.kept) for left in found.kept} == {
        (hosted, "paid for"),
        (word, "paid for"),
    }
    assert {left.path.name for left in collected(demo, paid=True).removed} == {hosted, word}


def leftovers(store: Path) -> list[Path]:
    """Leave what killed processes leave."""
    bake = next((store / "bake").iterdir())
    made = [
        store / f"import-{NOBODY}",
        store / "reproducing" / ("ab" * 8),
        store / "bake" / f"{bake.name}.again",
        bake / "checkpoints",
        store / "replaced" / "stim-1",
        store / "reproduced" / ("ab" * 8),
    ]
    for folder in made:
        folder.mkdir(parents=True)
        (folder / "file").write_text("x", encoding="utf-8")
    draft = bake / f".bake.json.{NOBODY}.tmp"
    draft.write_text("{", encoding="utf-8")
    own = store / f".recipes.json.{os.getpid()}.tmp"
    own.write_text("{", encoding="utf-8")
    return [*made, draft]


def test_what_killed_processes_left_goes(demo):
    left = leftovers(demo.store.root)
    before = here(demo)
    assert {one.path for one in collected(demo).removed} == set(left)
    assert here(demo) == before - {left[2].name}
    assert [path.name for path in demo.store.root.glob(".recipes*")]


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


def test_the_command_removes_lists_and_is_quiet(demo, monkeypatch):
    monkeypatch.chdir(demo.root)
    gone = unneeded(demo)
    done = typed_here("gc", "--dry-run", "--prune=now")
    assert f"questions  .git/bakery/stim/{gone}" in done.output
    assert "one thing that nothing needs would be removed" in done.output
    assert "1 more stay: younger" in typed_here("gc", "--weights-only").output
    said = json.loads(typed_here("gc", "--dry-run", "--json", "--prune=now").stdout)
    assert (said["schema"], [row["kind"] for row in said["removed"]]) == (1, ["questions"])
    assert typed_here("gc", "--no-weights", "--prune=now").exit_code == 0
    assert typed_here("gc", "--auto", "--prune=now").exit_code == 0
    assert typed_here("gc", "--weights-only", "--prune=now", "--no-prune").exit_code == 0
    assert gone in here(demo)
    assert typed_here("gc", "--prune=now", "-q").output == ""
    assert gone not in here(demo)
