"""A stranger's recipe may name poisoned weights by their very digest: they are not taken."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bakery.app.import_ import import_
from bakery.errors import ModelError
from bakery.identity import file_digest
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store.results import WEIGHTS
from tests.support.adapters import header, written
from tests.support.version_1 import unpacked


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of an earlier version, with its store; for copying."""
    return unpacked(tmp_path_factory.mktemp("old") / "repository")


Edit = Callable[[dict[str, Any], bytearray], Any]


def nan(head: dict[str, Any], data: bytearray) -> None:
    data[400:404] = struct.pack("<f", float("nan"))


def too_large(head: dict[str, Any], data: bytearray) -> None:
    data[-4:] = struct.pack("<f", -1e30)


def renamed(old: str, new: str) -> Edit:
    def edit(head: dict[str, Any], data: bytearray) -> None:
        for name in [name for name in head if old in name]:
            head[name.replace(old, new)] = head.pop(name)

    return edit


def turned(head: dict[str, Any], data: bytearray) -> None:
    """Give all factors twice the rank, of half the width."""
    for name, tensor in head.items():
        if "lora_A" in name:
            rank, inputs = tensor["shape"]
            tensor["shape"] = [2 * rank, inputs // 2]
        elif "lora_B" in name:
            outputs, rank = tensor["shape"]
            tensor["shape"] = [outputs // 2, 2 * rank]


def narrower(head: dict[str, Any], data: bytearray) -> None:
    """Take half of one layer's outputs for another rank's."""
    name = min(name for name in head if "lora_B" in name)
    outputs, rank = head[name]["shape"]
    first, last = head[name]["data_offsets"]
    middle = (first + last) // 2
    head[name] |= {"shape": [outputs // 2, rank], "data_offsets": [first, middle]}
    head["padding"] = {"dtype": "F32", "shape": [(last - middle) // 4]} | {
        "data_offsets": [middle, last]
    }


POISONED: dict[str, tuple[Edit, str]] = {
    "NaN": (nan, "holds NaN"),
    "too large": (too_large, "infinite or too large"),
    "layers of another model": (renamed(".layers.0.", ".layers.77."), "has no layer"),
    "another rank": (turned, "its rank is|in the base"),
    "a tensor more": (narrower, "no composed adapter holds padding"),
    "no LoRA": (renamed("lora_A", "lora_C"), "no composed adapter holds"),
    "cut": (lambda head, data: data.__delitem__(slice(-8, None)), "bytes instead of"),
}


@pytest.mark.parametrize(("edit", "why"), POISONED.values(), ids=POISONED)
def test_what_a_recipe_names_is_looked_at_all_the_same(
    old: Path, workplace: Path, edit: Edit, why: str
) -> None:
    root = shutil.copytree(old, workplace / "old", symlinks=True)
    repo = ModelRepo.find(root)
    bake = repo.find_bake("parent")
    place = repo.store.bake(bake.id)
    source = workplace / "from" / bake.id / str(bake.model.step)
    source.parent.mkdir(parents=True)
    (place / str(bake.model.step)).rename(source)
    shutil.rmtree(place)
    weights = source / WEIGHTS
    head, data = header(weights)
    changed = bytearray(data)
    edit(head, changed)
    written(weights, head, bytes(changed))
    recipe = root / "recipe.yml"
    text = recipe.read_text("utf-8").replace(bake.digest, file_digest(weights))
    recipe.write_text(text, encoding="utf-8")
    repo.git.run("commit", "-qam", "A stranger's")
    repo = ModelRepo.find(root)
    with pytest.raises(ModelError, match=why) as caught:
        import_(repo, workplace / "from", reporter=Quiet())
    assert "is not an adapter of" in caught.value.message
    assert not place.exists()
    assert not list(repo.store.root.glob(".import*"))
