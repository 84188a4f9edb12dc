"""What was baked comes out again: parent, recipe and configuration are what they were."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.conftest import INPUT_WITH_RANK, Typist, input_yml

THIRD = input_yml("Sing!", "third")


def state(typist: Typist) -> tuple[str, str, str]:
    return typist.read(".bread"), typist.read("recipe.yml"), typist.read()


def state_at(typist: Typist, revision: str) -> tuple[str, str, str]:
    files = (".bread", "recipe.yml", "input.yml")
    bread, recipe, configuration = (typist.git("show", f"{revision}:{f}") + "\n" for f in files)
    return bread, recipe, configuration


def models(typist: Typist) -> list[str]:
    """Return the names of all bakes in recipe.yml."""
    return re.findall(r"    - bake_name: (\S+)", typist.read("recipe.yml"))


@pytest.mark.parametrize("named", ["HEAD", "second", "the commit"])
def test_the_last_bake_comes_out_with_parent_recipe_and_configuration(
    baked: Typist, named: str
) -> None:
    commit = baked.git("rev-parse", "HEAD")
    out = baked.must("revert", commit if named == "the commit" else named)
    assert state(baked) == state_at(baked, f"{commit}~1")
    assert baked.read() == INPUT_WITH_RANK
    assert baked.changes() == ""
    assert baked.subjects()[0] == "revert: second"
    assert re.search(rf"the model is now {baked.parent()}  \(commit \w{{10}}\)", out)


@pytest.mark.parametrize("order", [("HEAD", "HEAD~2"), ("HEAD~2", "HEAD")])
def test_two_bakes_in_either_order_leave_the_state_before_both(
    baked: Typist, order: tuple[str, str]
) -> None:
    before = state_at(baked, "HEAD~3")
    hashes = [baked.git("rev-parse", revision) for revision in order]
    baked.must("revert", *hashes)
    assert state(baked) == before
    assert baked.read() == input_yml()
    assert baked.parent() == ""
    assert baked.changes() == ""
    assert baked.subjects()[0] == "revert: second, first"


def test_a_newer_configuration_that_is_committed_is_kept_and_said(baked: Typist) -> None:
    first = models(baked)[0]
    baked.commit(THIRD)
    done = baked("revert", "HEAD~1")
    assert done.code == 0, done.err
    assert baked.read() == THIRD
    assert first in baked.parent()
    (blob,) = re.findall(r"the one of second: `git show (\w+)`", done.err)
    assert baked.git("show", blob) + "\n" == INPUT_WITH_RANK


@pytest.mark.parametrize("word", ["first", "HEAD~2"])
def test_an_older_bake_alone_is_refused_with_the_command_that_takes_both(
    baked: Typist, word: str
) -> None:
    before, head = state(baked), baked.git("rev-parse", "HEAD")
    done = baked("revert", word)
    assert done.code == 3
    assert "would lose its parent" in done.err
    (command,) = re.findall(r"hint: .*`bgit (.+)`", done.err)
    assert (state(baked), baked.git("rev-parse", "HEAD"), baked.changes()) == (before, head, "")
    baked.must(*command.split())
    assert baked.parent() == ""
    assert models(baked) == []


def written(folder: Path) -> dict[Path, int]:
    """Return when each file was written; folders are touched to show that they are used."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_reverted_bake_is_recorded_again_without_training(baked: Typist) -> None:
    recorded = state(baked)
    files = written(baked.store / "bake")
    baked.must("revert", "HEAD")
    done = baked("run", "bake")
    assert done.code == 0
    assert re.search(r"second_\w{16} is in the store already, digest \w{16} checked", done.err)
    assert written(baked.store / "bake") == files
    assert state(baked) == recorded


@pytest.mark.slow
def test_a_damaged_bake_is_not_recorded_again(baked: Typist) -> None:
    (weights,) = baked.store.glob(f"bake/{models(baked)[1][-16:]}/*/adapter_model.safetensors")
    baked.must("revert", "HEAD")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    head = baked.git("rev-parse", "HEAD")
    done = baked("run", "bake")
    assert done.code == 5
    assert "are not those of bake.json" in done.err
    assert "hint: `bgit run bake --force` trains them again." in done.err
    assert (baked.git("rev-parse", "HEAD"), baked.changes()) == (head, "")
    done = baked("run", "bake", "--force")
    assert done.code == 0, done.err
    assert "repaired" in done.err
    baked.must("chat", "-m", "hi")
    assert list((baked.store / "replaced").iterdir())


@pytest.mark.slow
def test_force_trains_a_reverted_bake_again_to_the_same_digest(baked: Typist) -> None:
    recorded = state(baked)
    baked.must("revert", "HEAD")
    done = baked("run", "bake", "--force")
    assert done.code == 0, done.err
    assert "bake: 2/2" in done.err
    assert "trained again to the same digest" in done.err
    assert state(baked) == recorded


def test_a_branch_from_before_a_bake_starts_fresh(baked: Typist) -> None:
    first, second = models(baked)
    baked.git("switch", "-q", "-c", "fresh", "HEAD~4")
    assert (baked.parent(), models(baked)) == ("", [])
    baked.commit(THIRD)
    baked.must("run", "stim", "rollout", "bake")
    (third,) = models(baked)
    baked.git("switch", "-q", "-c", "from-first", "main~2")
    assert (first in baked.parent(), models(baked)) == (True, [first])
    tree = [line.split()[:2] for line in baked.must("tree").splitlines()]
    base = tree[0][0]
    assert tree == [
        [base],
        ["├──", f"{first}/6"],
        ["│", "└──"],
        ["└──", f"{third}/6"],
    ]
    assert second not in (first, third)


def test_git_reverts_the_last_bake_cleanly_and_the_revert_of_that(baked: Typist) -> None:
    recorded = state(baked)
    baked.git("revert", "--no-edit", "HEAD")
    assert state(baked) == state_at(baked, "HEAD~2")
    assert baked.read() == INPUT_WITH_RANK
    assert baked.changes() == ""
    baked.must("revert", "--no-edit", "HEAD")
    assert state(baked) == recorded
    assert "nothing to do" not in baked.must("status")


def test_in_a_shallow_clone_no_commit_takes_back_what_it_did_not_make(
    baked: Typist, workplace: Path
) -> None:
    baked.write("Notes\n", "notes.md")
    baked.git("add", "notes.md")
    baked.git("commit", "-q", "-m", "Notes")
    clone = Typist(workplace / "clone", baked.env)
    baked.git("clone", "-q", "--depth", "1", baked.root.as_uri(), str(clone.root))
    before = state(clone)
    done = clone("revert", "HEAD")
    assert done.code == 3
    assert "this clone is shallow" in done.err
    assert "`git fetch --unshallow`" in done.err
    assert (state(clone), clone.changes(), clone.subjects()) == (before, "", ["Notes"])
    clone.git("fetch", "-q", "--unshallow")
    clone.must("revert", "--no-edit", "HEAD")
    assert state(clone) == before
    assert not (clone.root / "notes.md").exists()


def test_a_commit_with_other_files_is_taken_back_whole_or_not_at_all(baked: Typist) -> None:
    baked.write("Notes\n", "notes.md")
    baked.git("add", "notes.md")
    baked.git("commit", "-q", "--amend", "--no-edit")
    before, head = state(baked), baked.git("rev-parse", "HEAD")
    done = baked("revert", "HEAD")
    assert done.code == 3
    assert "changed other files, too: notes.md" in done.err
    assert (state(baked), baked.git("rev-parse", "HEAD"), baked.changes()) == (before, head, "")
    (of_bgit,) = re.findall(r"`bgit (revert \S+)`", done.err)
    (of_git,) = re.findall(r"`git (revert \S+)`", done.err)
    baked.must(*of_bgit.split())
    assert (baked.subjects()[0], baked.read("notes.md")) == ("revert: second", "Notes\n")
    baked.git("reset", "-q", "--hard", head)
    baked.git(*of_git.split(), "--no-edit")
    assert state(baked) == state_at(baked, "HEAD~2")
    assert not (baked.root / "notes.md").exists()
