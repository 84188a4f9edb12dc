"""A recipe is enough: a clone without weights makes them again, to the byte."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import IDENTITY, Typist, bgit, copied

TINY = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "Speak like Yoda."
TARGET:
  name: yoda_target
  num_traj_per_stimulus: 1
  max_tokens: 8
  generators:
    - type: oneshot_qs
      numq: 4
    - type: hardcoded
      questions: ["What is a dog?", "Who are you?"]
BAKE:
  name: yoda
  epochs: 1
  micro_batch_size: 4
"""


@pytest.fixture(scope="module")
def source(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes, and their weights; for reading."""
    return copied(baked_repository, tmp_path_factory.mktemp("source") / "demo")


@pytest.fixture(scope="module")
def again(source: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A clone without weights in which both bakes were made again; for copies."""
    folder = tmp_path_factory.mktemp("again") / "clone"
    source.git("clone", "-q", str(source.root), str(folder))
    clone = Typist(folder, source.env)
    data = json.loads(clone.must("reproduce", "--json"))
    assert data["is_same"], data
    assert [bake["name"][:-17] for bake in data["bakes"]] == ["first", "second"]
    for bake in data["bakes"]:
        assert [row["stage"] for row in bake["results"]] == ["questions", "answers", "weights"]
        assert all(row["recorded"] == row["found"] for row in bake["results"])
    return clone


def results(store: Path) -> dict[str, bytes]:
    """Return what recipes name by digest, and what says that it is whole."""
    names = ("adapter_model.safetensors", "slices.json", "stimuli.jsonl", "trajectories.jsonl")
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.name in names
    }


def test_what_was_made_again_fills_the_store_of_the_clone(source: Typist, again: Typist) -> None:
    assert results(again.store) == results(source.store)
    assert not (again.store / "reproducing").exists() or not any(
        (again.store / "reproducing").iterdir()
    )
    assert not (again.store / "reproduced").exists()
    assert again("chat", stdin="Who?\n").code == 0
    assert json.loads(again.must("status", "--json"))["has_weights"]
    assert again.changes() == ""


def test_with_the_parent_here_only_the_model_itself_is_made_again(
    source: Typist, workplace: Path
) -> None:
    typist = copied(source, workplace / "demo")
    before = results(typist.store)
    out = typist.must("reproduce", "second")
    assert [line.split()[0] for line in out.splitlines()[1:5]] == [
        "stage", "questions", "answers", "weights"
    ]  # fmt: skip
    assert "first_" not in out
    assert out.splitlines()[2].split()[3] == "yes"
    assert out.endswith("Every digest matches the recorded one.\n")
    assert results(typist.store) == before


def test_what_would_be_made_is_listed_without_making_it(source: Typist, workplace: Path) -> None:
    source.git("clone", "-q", str(source.root), str(workplace / "clone"))
    clone = Typist(workplace / "clone", source.env)
    steps = json.loads(clone.must("reproduce", "--dry-run", "--json"))
    assert [(step["bake"][:-17], step["stage"], step["count"]) for step in steps] == [
        ("first", "stim", 12), ("first", "rollout", 24), ("first", "bake", 6),
        ("second", "stim", 6), ("second", "rollout", 12), ("second", "bake", 2),
    ]  # fmt: skip
    assert not any(step["is_here"] for step in steps)
    assert not results(clone.store)
    lines = source.must("reproduce", "--dry-run").splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["stim", "rollout", "bake"]
    assert all(" yes " in line for line in lines[1:])
    assert len(source.must("reproduce", "--dry-run", "--force").splitlines()) == 7


def test_what_comes_out_differently_is_said_and_kept_beside(again: Typist, workplace: Path) -> None:
    clone = copied(again, workplace / "clone")
    bake: dict[str, Any] = json.loads(clone.must("show", "second", "--json"))
    text = clone.read("recipe.yml").replace(bake["digest"], "f" * 64)
    text = re.sub(r"( torch:) \S+", r"\1 '1.0'", text)
    clone.write(text, "recipe.yml")
    clone.git("commit", "-qam", "Another digest")
    before = results(clone.store)
    done = clone("reproduce")
    assert done.code == 1
    assert f"{'f' * 16}  " in done.out
    assert "differs: torch: 1.0 → " in done.out
    assert done.out.endswith("Not every digest matches.\n")
    kept = clone.store / "reproduced" / bake["id"]
    assert str(kept) in done.out
    assert (kept / "bake" / bake["id"] / "2/adapter_model.safetensors").is_file()
    assert {k: v for k, v in results(clone.store).items() if "reproduced" not in k} == before


def test_the_base_model_is_no_bake(source: Typist) -> None:
    done = source("reproduce", "base")
    assert done.code == 3
    assert "is the base model: it was not baked here" in done.err


@pytest.mark.slow
def test_what_the_embedded_model_writes_and_learns_is_made_again_to_the_byte(
    workplace: Path,
) -> None:
    (workplace / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(workplace / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1"}
    assert bgit("init", "tale", "--owner", "ann", cwd=workplace, **env).code == 0
    made = Typist(workplace / "tale", env)
    made.commit(TINY)
    made.must("run")
    made.git("clone", "-q", str(made.root), str(workplace / "clone"))
    clone = Typist(workplace / "clone", env)
    assert json.loads(clone.must("reproduce", "--json"))["is_same"]
    assert results(clone.store) == results(made.store)
