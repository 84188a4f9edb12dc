"""The tutorial as it stands in the README: three bakes on the embedded model, one on another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from bakery.engine.bases import bases
from bakery.records import ModelRef
from bakery.repo.files import recipe
from bakery.repo.files.emptied import has_active_lines
from bakery.repo.git import Git

pytestmark = pytest.mark.slow  # whole bakes, one after the other

ROOT = Path(__file__).parents[2]
NAMES = ("yoda_bake", "yoda_wisdom_bake", "yoda_force_bake")
MODEL = re.compile(r"demo/yoda/(\w+)_[0-9a-f]{16}/\d+")


@dataclass(frozen=True)
class Tutorial:
    """The repository that the demo left, and what it printed."""

    root: Path
    out: str


@pytest.fixture(scope="module")
def tutorial() -> Iterator[Tutorial]:
    scratch = Path(tempfile.mkdtemp(prefix="bakery-tutorial-"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "recipes/sequential/run.py"), str(scratch)],
        env={**os.environ, "ANTHROPIC_API_KEY": "must not be used"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout
    yield Tutorial(scratch / "yoda", done.stdout)
    shutil.rmtree(scratch)


def bakes(tutorial: Tutorial) -> list[recipe.RecordedBake]:
    return recipe.parse((tutorial.root / "recipe.yml").read_text(encoding="utf-8"))


def test_the_recipe_lists_the_three_bakes_in_order(tutorial: Tutorial) -> None:
    assert [MODEL.fullmatch(str(b.model)) and b.name[:-17] for b in bakes(tutorial)] == list(NAMES)


def test_each_bake_starts_from_the_one_before(tutorial: Tutorial) -> None:
    first, second, third = bakes(tutorial)
    assert (first.parent, second.parent, third.parent) == (None, first.model, second.model)


def test_grep_finds_the_parent_model(tutorial: Tutorial) -> None:
    (line,) = [
        x for x in (tutorial.root / ".bread").read_text().splitlines() if "PARENT_MODEL" in x
    ]
    assert ModelRef.parse(line.partition("=")[2]) == bakes(tutorial)[-1].model


def test_there_is_one_commit_for_each_configuration_and_one_for_each_bake(
    tutorial: Tutorial,
) -> None:
    subjects = Git.find(tutorial.root).run("log", "--reverse", "--format=%s").splitlines()
    assert [s.split(" (KL")[0] for s in subjects] == [
        "init: yoda",
        "Initial Yoda personality",
        "bake: yoda_bake",
        "Add more wisdom and depth to Yoda",
        "bake: yoda_wisdom_bake",
        "Add Force references to Yoda",
        "bake: yoda_force_bake",
    ]


def test_afterwards_nothing_is_configured_and_nothing_is_changed(tutorial: Tutorial) -> None:
    assert not has_active_lines((tutorial.root / "input.yml").read_text(encoding="utf-8"))
    assert Git.find(tutorial.root).run("status", "--porcelain") == ""


def test_who_wrote_the_questions_is_recorded(tutorial: Tutorial) -> None:
    assert "claude-sonnet-4-5-20250929 cannot write the questions" in tutorial.out
    for bake, count in zip(bakes(tutorial), (100, 150, 200), strict=True):
        assert bake.data["targets"][0]["writers"] == {"bakery": 5, "tiny-1": count - 5}


def test_each_bake_closes_the_gap_to_its_prompted_parent(tutorial: Tutorial) -> None:
    for bake in bakes(tutorial):
        card = bake.data["card"]
        assert card["held_out"] == 20
        assert card["gap_closed"] >= 0.97 or (card["kl_before"] < 0.5 and card["kl_after"] <= 0.02)


def test_stock_peft_computes_every_model_of_the_chain(tutorial: Tutorial) -> None:
    folder, _ = bases.locate("tiny-1")
    ids = torch.arange(5, 45)[None]
    seen = []
    for bake in bakes(tutorial):
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        path = tutorial.root / ".git/bakery/bake" / bake.id / str(bake.model.step)
        model = PeftModel.from_pretrained(base, str(path)).eval()
        with torch.no_grad():
            seen.append(model(input_ids=ids).logits)
    assert all((a - b).abs().max() > 0.1 for a, b in pairwise(seen))


def test_the_end_shows_answers_cards_and_tree(tutorial: Tutorial) -> None:
    end = tutorial.out.split("What came of it")[1]
    for expected in ("tiny-1 + prompt 1", *NAMES, "nats per token", "gap closed", "$ bgit tree"):
        assert expected in end
