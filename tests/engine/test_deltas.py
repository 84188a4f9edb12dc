"""How far two adapters are apart, against the matrices themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bakery.app.diff import weighed
from bakery.engine.models.deltas import deltas, norm
from bakery.errors import ModelError
from tests.support.adapters import adapter

RNG = np.random.default_rng(0)


def drawn(folder: Path, rank: int, inputs: int = 12, outputs: int = 10) -> dict[str, np.ndarray]:
    """Write an adapter of random factors for three matrices in two layers; return its tensors."""
    folder.mkdir()
    found = {}
    for name in ("layers.0.q_proj", "layers.0.up_proj", "layers.1.q_proj"):
        front = f"base_model.model.model.{name}"
        found[f"{front}.lora_A.weight"] = RNG.normal(size=(rank, inputs)).astype(np.float32)
        found[f"{front}.lora_B.weight"] = RNG.normal(size=(outputs, rank)).astype(np.float32)
    save_file(found, folder / "adapter_model.safetensors")
    return found


def product(tensors: dict[str, np.ndarray], name: str) -> np.ndarray:
    front = f"base_model.model.{name}"
    a, b = (tensors[f"{front}.lora_{x}.weight"].astype(np.float64) for x in "AB")
    return b @ a


@pytest.mark.parametrize("ranks", [(2, 3), (3, 3), (8, 9)])  # few enough for QR, and not
def test_it_is_the_norm_of_the_difference_of_the_products(tmp_path: Path, ranks):
    old, new = (drawn(tmp_path / str(n), rank) for n, rank in enumerate(ranks))
    for one in deltas(tmp_path / "0", tmp_path / "1"):
        before, after = product(old, one.name), product(new, one.name)
        assert one.apart == pytest.approx(np.linalg.norm(after - before), rel=1e-12)
        assert one.old == pytest.approx(np.linalg.norm(before), rel=1e-12)
        assert one.new == pytest.approx(np.linalg.norm(after), rel=1e-12)


def test_of_the_base_it_is_all_that_an_adapter_adds(tmp_path: Path):
    drawn(tmp_path / "0", 3)
    assert all(one.apart == one.new != 0 == one.old for one in deltas(None, tmp_path / "0"))
    assert all(one.apart == one.old != 0 == one.new for one in deltas(tmp_path / "0", None))
    assert all(one.apart == 0 for one in deltas(tmp_path / "0", tmp_path / "0"))


def test_a_small_slice_on_a_large_one_is_not_lost_in_rounding(tmp_path: Path):
    old = drawn(tmp_path / "0", 3)
    new = {}
    for name, tensor in old.items():
        is_a = ".lora_A." in name
        more = RNG.normal(size=(1, 12) if is_a else (10, 1)) * (1.0 if is_a else 1e-12)
        new[name] = np.concatenate([tensor, more.astype(np.float32)], axis=0 if is_a else 1)
    (tmp_path / "1").mkdir()
    save_file(new, tmp_path / "1" / "adapter_model.safetensors")
    for one in deltas(tmp_path / "0", tmp_path / "1"):
        a, b = (new[f"base_model.model.{one.name}.lora_{x}.weight"].astype(float) for x in "AB")
        due = np.linalg.norm(b[:, 3:] @ a[3:])
        assert one.apart == pytest.approx(due, rel=1e-9)


def test_shares_add_up_over_layers_modules_and_matrices(tmp_path: Path):
    drawn(tmp_path / "0", 3)
    drawn(tmp_path / "1", 4)
    found = weighed(tmp_path / "0", tmp_path / "1")
    assert [part.name for part in found.layers] == ["0", "1"]
    assert {part.name for part in found.modules} == {"q_proj", "up_proj"}
    for parts in (found.layers, found.modules, found.matrices):
        assert sum(part.share for part in parts) == pytest.approx(1)
        assert sum(part.apart**2 for part in parts) == pytest.approx(found.whole.apart**2)


def test_no_rank_adds_nothing():
    assert norm(np.zeros((0, 3)), np.zeros((2, 0))) == 0


def test_what_is_no_composed_adapter_is_refused(tmp_path: Path):
    whole = adapter(tmp_path / "a")
    weights = whole / "adapter_model.safetensors"
    tensors = load_file(weights)
    tensors["x"] = tensors.pop(next(iter(tensors)))
    save_file(tensors, weights)
    with pytest.raises(ModelError, match="no composed adapter"):
        deltas(None, whole)
    drawn(tmp_path / "0", 2)
    drawn(tmp_path / "1", 2, inputs=7)
    with pytest.raises(ModelError, match="of different shapes"):
        deltas(tmp_path / "0", tmp_path / "1")
