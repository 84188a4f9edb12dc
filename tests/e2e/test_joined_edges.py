"""Weights brought together where there is little, much, or something damaged to bring together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.model_repo import ModelRepo
from tests.e2e.conftest import INPUT_WITH_RANK, Typist
from tests.e2e.test_joined import added, data, farthest, together


def probes(here: Typist, name: str) -> Path:
    repo = ModelRepo.find(here.root)
    return repo.store.bake(repo.find_bake(name).id) / "probes.json"


def hook(here: Typist, name: str = "pre-commit") -> Path:
    path = here.root / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_branch_without_a_bake_takes_what_comes(forked):
    own = together((1, added(forked, "second")), (-1, added(forked, "first")))
    root = forked.git("rev-list", "--max-parents=0", "HEAD").strip()
    forked.git("switch", "-qc", "bare", root)
    assert "Nothing to merge" in forked.must("merge", "--weights", root)
    forked.must("cherry-pick", "--weights=cat", "second")
    assert farthest(added(forked), own) < 1e-6
    assert data(forked, "revert", "--only", "parent")["model"] is None
    assert "no part of" in forked("revert", "--only", "second").err
    assert data(forked, "merge", "--weights", "exp")["how"] == "forward"


@pytest.mark.parametrize(
    "how", ["distill", *(pytest.param(one, marks=pytest.mark.slow) for one in ("svd", "ties"))]
)
def test_what_was_trained_together_is_not_merged_twice(forked, how):
    first = forked.parent()
    made = data(forked, "merge", f"--weights={how}", "exp", "--force")["model"]
    assert data(forked, "merge", "--weights", "exp", "--force")["how"] == "nothing"
    assert forked.parent() == made
    forked.git("switch", "-q", "exp")
    forked.commit(INPUT_WITH_RANK.replace("second", "fourth"), "Configure fourth")
    forked.must("run")
    forked.git("switch", "-q", "-")
    refused = forked("merge", "--weights=svd", "exp", "--force")
    assert (refused.code, "cannot be told apart" in refused.err) == (3, True)
    assert data(forked, "merge", "--weights=cat", "exp", "--force")["how"] == "cat"
    forked.must("revert", "parent")
    assert forked.parent() == made
    forked.must("revert", "parent")
    assert forked.parent() == first


@pytest.mark.parametrize("leaning", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_of_a_long_chain_the_first_bake_goes(forked, monkeypatch, leaning):
    from bakery.app import leave_out
    from bakery.reporting import Quiet

    forked.commit(INPUT_WITH_RANK.replace("second", "fourth"), "Configure fourth")
    forked.must("run")
    before, first = added(forked), added(forked, "first")
    monkeypatch.setattr(leave_out, "_leaning", lambda later, kept: min(leaning, len(later)))
    left = leave_out.leave_out(ModelRepo.find(forked.root), "first", reporter=Quiet())
    names = [model.bake.rpartition("_")[0] for model in left.moved]
    assert names == ["second", "fourth"]
    assert "nothing is wrong" in forked("fsck").out
    if leaning == 3:
        assert farthest(added(forked), together((1, before), (-1, first))) < 1e-6
    assert data(forked, "merge", "--weights=cat", "exp", "--force")["how"] in ("cat", "nothing")


def test_a_bake_that_is_a_part_of_another_is_named_with_it(forked):
    forked.must("merge", "--weights=cat", "exp", "--force")
    done = forked("revert", "--only", "third")
    assert done.code == 3
    assert "as a part of second-third_" in done.err
    assert "bgit revert --only second-third_" in done.err


def test_ranks_that_no_chain_may_have_are_refused_before_anything(forked):
    done = forked("merge", "--weights=svd", "exp", "--force", "--rank", "100000")
    assert (done.code, "256 at most" in done.err) == (2, True)
    assert "asking" not in done.err


def test_questions_that_no_base_can_be_asked_are_refused(forked):
    path = probes(forked, "third")
    whole = json.loads(path.read_text(encoding="utf-8"))
    for change, code in (
        ({"student_prefix": [1 << 20]}, 5),
        ({"student_prefix": whole["probes"][0]["student_prefix"] * 9999}, 5),
        ({"student_prefix": []}, 0),
        ({"student_prefix": [-1]}, 0),
    ):
        bad = {**whole, "probes": [{**whole["probes"][0], **change}]}
        path.write_text(json.dumps(bad), encoding="utf-8")
        done = forked("merge", "--weights=cat", "exp", "--force")
        assert done.code == code, done.err
        assert "damaged" in done.err
        assert "Traceback" not in done.err
        if code == 0:
            forked.git("reset", "-q", "--hard", "HEAD~1")


def test_questions_of_earlier_versions_are_all_asked(forked):
    path = probes(forked, "third")
    whole = json.loads(path.read_text(encoding="utf-8"))
    for one in whole["probes"]:
        del one["key"]
    path.write_text(json.dumps(whole), encoding="utf-8")
    found = data(forked, "merge", "--weights=cat", "exp", "--force")
    theirs = [one for one in found["tried"][0]["kept"] if one["side"] == "theirs"]
    assert sum(one["questions"] for one in theirs) == len(whole["probes"]) > 1


def test_what_a_hook_refuses_is_made_by_the_same_line(forked):
    head = forked.git("rev-parse", "HEAD")
    for words in (
        ("merge", "--weights=cat", "exp", "--force"),
        ("cherry-pick", "--weights", "third", "--force"),
        ("revert", "--only", "first"),
    ):
        refusing = hook(forked)
        done = forked(*words)
        assert (done.code, "The same command again" in done.err) == (3, True), done.err
        assert "bgit run bake" not in done.err
        assert (forked.git("rev-parse", "HEAD"), forked.changes()) == (head, "")
        refusing.unlink()
        forked.must(*words)
        forked.git("reset", "-q", "--hard", head.strip())


def test_files_that_git_cannot_merge_are_named_and_nothing_else(forked):
    forked.commit(INPUT_WITH_RANK.replace("second", "ours"), "Configure ours")
    forked.git("switch", "-q", "exp")
    forked.commit(INPUT_WITH_RANK.replace("second", "theirs"), "Configure theirs")
    forked.git("switch", "-q", "-")
    done = forked("merge", "--weights=cat", "exp", "--force")
    assert done.code == 3
    assert "git cannot merge these files by itself: input.yml\n" in done.err


def test_branches_without_a_common_commit_are_told_what_helps(forked):
    forked.git("switch", "-q", "--orphan", "lone")
    forked.git("checkout", "main", "--", ".")
    forked.git("commit", "-qm", "Begin anew")
    done = forked("merge", "--weights=cat", "exp", "--force")
    assert (done.code, "no commit in common" in done.err) == (3, True)
    assert "--unshallow" in done.err


def test_a_recipe_in_which_a_bake_holds_itself_is_refused(forked):
    made = data(forked, "merge", "--weights=cat", "exp", "--force")["model"]
    third = data(forked, "show", "third")["model"]
    text = forked.read("recipe.yml")
    at = text.index("joined:")
    forked.write(text[:at] + text[at:].replace(third, made, 1), "recipe.yml")
    forked.git("commit", "-qam", "Damage it")
    done = forked("merge", "--weights", "exp~1")
    assert (done.code, "hold its own slice" in done.err) == (3, True), done.err


def test_what_is_to_be_learnt_is_missed_before_anybody_is_asked(forked):
    repo = ModelRepo.find(forked.root)
    for target in repo.find_bake("third").data["targets"]:
        (repo.store.target(target["id"]) / "done.json").unlink()
    done = forked("merge", "--weights=distill", "exp", "--force")
    assert (done.code, "nothing can be learnt" in done.err) == (4, True)
    assert "asking" not in done.err


def test_of_two_at_once_the_second_says_that_the_branch_went_on(forked, monkeypatch):
    from bakery.app import cherry_pick, joining, leave_out, merge
    from bakery.reporting import Quiet

    repo, head = ModelRepo.find(forked.root), forked.git("rev-parse", "HEAD").strip()
    made, third = joining.make, data(forked, "show", "third")["model"]

    def late(*given, **told):
        found = made(*given, **told)
        if forked.git("rev-parse", "HEAD").strip() == head:
            forked.must("merge", "--weights=cat", "exp", "--force")
        return found

    monkeypatch.setattr(joining, "make", late)
    for other in (
        lambda: merge.merge(repo, "exp", how="cat", force=True, reporter=Quiet()),
        lambda: cherry_pick.cherry_pick(repo, third, force=True, reporter=Quiet()),
        lambda: leave_out.leave_out(repo, "first", reporter=Quiet()),
    ):
        with pytest.raises(RepoError, match="has changed since"):
            other()
        assert forked.changes() == ""
        assert forked.parent().split("/")[2].startswith("second-third_")
        forked.must("status")
        forked.git("reset", "-q", "--hard", head)


def test_what_was_made_and_left_once_is_taken_again(forked):
    third = data(forked, "show", "third")["model"]
    lines = (
        ("cherry-pick", "--weights=cat", third, "--force"),
        ("merge", "--weights=cat", "exp", "--force"),
    )
    for words in (*lines, lines[0]):
        made = data(forked, *words)["model"]
        bake_id = made.split("/")[2][-16:]
        assert forked.parent().split("/")[2].endswith(bake_id)
        assert forked.read("recipe.yml").count(f">>> bake {bake_id}") == 1
        assert "nothing is wrong" in forked("fsck").out
        forked.must("adopt", "second")


@pytest.mark.parametrize("how", ["svd", "distill"])
def test_weights_may_be_merged_after_the_commits(forked, how):
    forked.git("merge", "-q", "--no-edit", "exp")
    made = data(forked, "merge", f"--weights={how}", "exp", "--force")["model"]
    assert forked.parent() == made
    assert "kept in None" not in forked("reproduce").out
