"""How a student is run is chosen once, written down, and taken again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config

from bakery.data.datasets import create_dataset
from bakery.engine.packed.layouts import Segment
from bakery.engine.training import numerics
from bakery.engine.training.numerics import KERNELS, Numerics, faster_kernel, written_in
from bakery.reporting import Quiet
from tests.support.library import losses, trainer
from tests.support.models import random_model

PROMPTS = ["one?", "two and two?", "why?"]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return random_model(tmp_path / "base")


def test_a_run_writes_its_choices_down(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path, create_dataset(PROMPTS))
    made.train()
    told = json.loads((tmp_path / numerics.FILE).read_text())
    assert told == made.numerics.as_data()
    assert (told["layout"], told["attention"], told["loss"]) == ("shared", "sdpa", "fused")


@pytest.mark.parametrize("layout", ["shared", "packed", "padded"])
def test_a_run_that_is_made_again_takes_the_choices_of_the_first(
    base: Path, tmp_path: Path, layout: str
) -> None:
    kernel = "sdpa" if layout == "padded" else "explicit"
    model = numerics.shapes(trainer(base, tmp_path / "other", create_dataset(PROMPTS)).model)
    chosen = Numerics(layout, kernel, 1, "fused", model)
    numerics.write(tmp_path / numerics.FILE, chosen)
    heard = Quiet()
    made = trainer(base, tmp_path, create_dataset(PROMPTS), reporter=heard)
    assert any(str(chosen) in note for note in heard.notes)
    made.train()
    assert made.numerics == chosen
    assert torch.get_num_threads() == 1


def test_layouts_and_kernels_learn_the_same(base: Path, tmp_path: Path) -> None:
    model = numerics.shapes(trainer(base, tmp_path / "other", create_dataset(PROMPTS)).model)
    seen = []
    for name, layout, kernel in (
        ("a", "shared", "sdpa"),
        ("b", "packed", "explicit"),
        ("c", "padded", "sdpa"),
    ):
        (tmp_path / name).mkdir()
        chosen = Numerics(layout, kernel, 1, "fused", model)
        numerics.write(tmp_path / name / numerics.FILE, chosen)
        made = trainer(base, tmp_path / name, create_dataset(PROMPTS))
        made.train()
        seen.append(losses(made))
    assert seen[1] == pytest.approx(seen[0], rel=1e-4)
    assert seen[2] == pytest.approx(seen[0], rel=1e-4)


def test_what_is_no_such_file_counts_for_nothing(tmp_path: Path) -> None:
    good = Numerics("packed", "sdpa", 1, "fused", "x").as_data()
    bad = [{"threads": 0}, {"threads": "2"}, {"attention": "nope"}, {"layout": "?"}, {"more": 1}]
    bad.append({"sharded": "yes"})
    for text in ("", "[]", "{}", *(json.dumps(good | change) for change in bad)):
        (tmp_path / numerics.FILE).write_text(text)
        assert written_in(tmp_path / numerics.FILE) is None
    assert written_in(tmp_path / "nowhere") is None


def test_choices_for_another_model_are_not_taken(base: Path, tmp_path: Path) -> None:
    numerics.write(tmp_path / numerics.FILE, Numerics("padded", "sdpa", 1, "fused", "another"))
    made = trainer(base, tmp_path, create_dataset(PROMPTS))
    made.train()
    assert made.numerics.layout == "shared"


def test_eager_attention_that_was_asked_for_is_written_out(base: Path, tmp_path: Path) -> None:
    made = trainer(base, tmp_path, create_dataset(PROMPTS))
    made.model.set_attn_implementation("eager")
    made.train()
    assert made.numerics.attention == "explicit"


def test_small_batches_take_the_usual_kernel_on_every_machine() -> None:
    small = (Segment(100, (20, 20)),) * 7
    assert faster_kernel(Qwen3Config(), small, torch.device("cpu")) == KERNELS[0]


def test_large_batches_are_measured_without_touching_the_random_state() -> None:
    config = Qwen3Config(num_attention_heads=2, num_key_value_heads=1, head_dim=8)
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    assert faster_kernel(config, (Segment(600, (90, 90)),) * 2, torch.device("cpu")) in KERNELS
    assert torch.equal(torch.rand(3), expected)
