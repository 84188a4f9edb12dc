"""Weights brought together and taken apart again: merge, cherry-pick, and revert --only."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bakery.repo.model_repo import ModelRepo
from tests.e2e.conftest import THIRD, Typist


def data(here: Typist, *words: str) -> Any:
    done = here(*words, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["schema"] == 1
    return found


def added(here: Typist, name: str = "parent") -> dict[str, torch.Tensor]:
    """Return B·A of every layer of a model, which is what it adds to the base."""
    repo = ModelRepo.find(here.root)
    bake = repo.find_bake(name)
    tensors = load_file(
        repo.store.bake(bake.id) / str(bake.model.step) / "adapter_model.safetensors"
    )
    return {
        a.removesuffix(".lora_A.weight"): tensors[a.replace("lora_A", "lora_B")] @ tensors[a]
        for a in tensors
        if ".lora_A." in a
    }


def together(*terms: tuple[int, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {
        layer: torch.stack([sign * term[layer] for sign, term in terms]).sum(0)
        for layer in terms[0][1]
    }


def farthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[layer] - other[layer]).abs().max()) for layer in one)


def test_two_branches_add_up_exactly_in_one_merge_commit(forked):
    first, second, third = (added(forked, name) for name in ("first", "second", "third"))
    found = data(forked, "merge", "--weights=cat", "exp", "--force")
    assert found["how"] == "cat"
    assert len(forked.git("log", "-1", "--format=%P").split()) == 2
    assert forked.read("notes.txt") == "exp only\n"
    assert forked.changes() == ""
    assert forked.parent() == found["model"]
    assert found["model"].split("/")[2].startswith("second-third_")
    whole = together((1, second), (1, third), (-1, first))
    assert farthest(added(forked), whole) < 1e-6
    assert {one["side"] for one in found["tried"][0]["kept"]} == {"both", "ours", "theirs"}
    assert "nothing is wrong" in forked("fsck").out
    assert "second-third" in forked.must("tree")
    count = sum(one["questions"] for one in found["tried"][0]["kept"])
    assert f"{count} questions are answered as by the models" in forked.must("status")
    assert f"{count} questions are answered as by the models" in forked.must("show", "parent")
    row = next(line for line in forked.must("models").splitlines() if line.startswith("*"))
    assert "as before" in row or "lost" in row
    assert data(forked, "status")["joined"]["how"] == "cat"
    forked.must("download", "--out", "whole")
    card = forked.read("whole/README.md")
    assert f"{count} questions are answered as by the models" in card
    assert "0 per request" not in card
    forked.must("report", "--out", "page.html")
    assert f"{count} questions are answered as by the models" in forked.read("page.html")
    again = json.loads(forked("merge", "--weights", "exp", "--json").out)
    assert again["how"] == "nothing"


def test_what_was_merged_is_made_again_bit_for_bit(forked):
    forked.must("merge", "--weights=cat", "exp", "--force")
    assert json.loads(forked.must("reproduce", "--json"))["is_same"]
    forked.must("show", "parent")
    forked.must("revert", "second-third")
    assert forked.parent().split("/")[2].startswith("second_")


@pytest.mark.parametrize("how", ["svd", "ties"])
def test_fewer_ranks_stand_on_the_model_that_both_come_from(forked, how):
    first = data(forked, "show", "first")["model"]
    found = data(forked, "merge", f"--weights={how}", "exp", "--force", "--rank", "3")
    bake = ModelRepo.find(forked.root).find_bake("parent")
    assert found["how"] == how
    assert str(bake.parent) == first
    assert bake.rank == 3
    assert {one["side"] for one in found["tried"][0]["kept"]} == {"both", "ours", "theirs"}
    assert "nothing is wrong" in forked("fsck").out
    forked.must("revert", "parent")
    assert forked.parent() == found["ours"]


def test_a_merge_may_be_learnt_from_both_sides(forked):
    found = data(forked, "merge", "--weights=distill", "exp", "--force")
    bake = ModelRepo.find(forked.root).find_bake("parent")
    assert found["how"] == "distill"
    assert bake.data["loss"]["last"] < bake.data["loss"]["first"]
    assert bake.rank == 4
    assert "nothing is wrong" in forked("fsck").out


def test_a_branch_that_only_went_on_is_taken_as_it_is(forked):
    forked.git("switch", "-qc", "behind", "HEAD~2")
    found = data(forked, "merge", "--weights", "exp")
    assert found["how"] == "forward"
    assert forked.parent() == found["model"] == found["theirs"]
    assert forked.changes() == ""


def test_what_git_cannot_merge_is_told_before_anything_is_made(forked):
    for branch, text in (("exp", "theirs"), ("-", "ours")):
        forked.git("switch", "-q", branch)
        forked.write(text, "prompt.md")
        forked.git("add", "prompt.md")
        forked.git("commit", "-qm", f"Say {text}")
    before = sorted(path.name for path in (forked.store / "bake").iterdir())
    done = forked("merge", "--weights", "exp", "--force")
    assert done.code == 3
    assert "prompt.md" in done.err
    assert sorted(path.name for path in (forked.store / "bake").iterdir()) == before
    assert forked.changes() == ""


def test_what_would_be_overwritten_is_told_before_anything_is_made(forked):
    before = sorted(path.name for path in (forked.store / "bake").iterdir())
    forked.write("mine\n", "notes.txt")
    done = forked("merge", "--weights", "exp", "--force")
    assert (done.code, "notes.txt" in done.err) == (3, True)
    forked.git("add", "notes.txt")
    done = forked("merge", "--weights", "exp", "--force")
    assert (done.code, "notes.txt" in done.err) == (3, True)
    assert sorted(path.name for path in (forked.store / "bake").iterdir()) == before
    assert forked.read("notes.txt") == "mine\n"


def test_a_hook_that_refuses_leaves_all_as_it_was(forked):
    forked.hook("pre-merge-commit", "exit 1")
    forked.hook("commit-msg", "echo no; exit 1")
    head = forked.git("rev-parse", "HEAD")
    done = forked("merge", "--weights=cat", "exp", "--force")
    assert done.code == 3, done.err
    assert forked.git("rev-parse", "HEAD") == head
    assert forked.changes() == ""
    (forked.root / ".git/hooks/commit-msg").unlink()
    (forked.root / ".git/hooks/pre-merge-commit").unlink()
    assert data(forked, "merge", "--weights=cat", "exp", "--force")["commit"]


def test_one_bake_is_picked_as_it_was_trained(forked):
    first, second, third = (added(forked, name) for name in ("first", "second", "third"))
    found = data(forked, "cherry-pick", "--weights=cat", "third", "--force")
    assert forked.parent() == found["model"]
    assert forked.subjects()[0] == "cherry-pick: third"
    assert farthest(added(forked), together((1, second), (1, third), (-1, first))) < 1e-6
    done = forked("cherry-pick", "--weights", "exp", "--force")
    assert done.code == 3
    assert "part of the current model" in done.err
    # What was picked is not taken a second time by a merge.
    assert data(forked, "merge", "--weights", "exp")["how"] == "nothing"
    assert (forked.root / "notes.txt").exists()


def test_a_bake_comes_out_of_the_middle(forked):
    forked.must("merge", "--weights=cat", "exp", "--force")
    first, whole = added(forked, "first"), added(forked)
    second = added(forked, "second")
    head = forked.git("rev-parse", "HEAD")
    found = data(forked, "revert", "--only", "second")
    assert forked.git("rev-parse", "HEAD~1") == head
    assert forked.subjects()[0] == "revert: second"
    assert farthest(added(forked), together((1, whole), (-1, second), (1, first))) < 1e-6
    assert [name.split("/")[2][:-17] for name in found["moved"]] == ["second-third"]
    assert "second_" not in forked.must("tree").partition("second-third")[0]
    assert "nothing is wrong" in forked("fsck").out
    last = data(forked, "revert", "--only", "second-third")
    assert last["moved"] == []
    assert forked.parent().split("/")[2].startswith("first_")


def test_the_bakes_on_the_one_that_goes_may_be_several(forked):
    forked.commit(THIRD.replace("third", "last").replace("Sing!", "Hum!"), "Configure last")
    forked.must("run")
    found = data(forked, "revert", "--only", "first")
    assert [name.split("/")[2][:-17] for name in found["moved"]] == ["second", "last"]
    assert forked.parent() == found["moved"][-1]
    assert "nothing is wrong" in forked("fsck").out


def test_names_that_are_no_such_thing_are_refused(forked):
    for words, said in (
        (("merge", "--weights", "nowhere"), "no branch"),
        (("merge", "--weights=sum", "exp"), "sum"),
        (("merge", "--weights=cat", "--rank", "2", "exp"), "--rank"),
        (("merge", "--weights", "--ours", "--theirs", "exp"), "exclude"),
        (("cherry-pick", "--weights", "second"), "part of"),
        (("cherry-pick", "--weights", "base"), "base model"),
        (("revert", "--only", "third"), "no part"),
        (("revert", "--only", "first", "second"), "one bake"),
    ):
        done = forked(*words)
        assert done.code in (2, 3), (words, done.out, done.err)
        assert said in done.err, (words, done.err)
    assert forked.changes() == ""
