"""An adapter of fewer ranks is the nearest of that rank, and the same each time."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.models.adapter_folder import SLICES, WEIGHTS, digest
from bakery.engine.models.adapters import attach_parent
from bakery.engine.models.compressed import compress, nearest
from tests.support.disagreeing import adapter
from tests.support.models import random_model

IDS = torch.tensor([[1, 88, 120, 40, 7, 2]])
CHAIN = [("a" * 16, 5), ("b" * 16, 6)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A base, and the adapter of a chain of two bakes on it."""
    root = tmp_path_factory.mktemp("world")
    found = bases.identify(str(random_model(root / "model")))
    base = models.load(found, dtype="float32")
    return found, adapter(root / "whole", base, CHAIN)


def added(folder, name):
    held = load_file(str(folder / WEIGHTS))
    return held[f"{name}.lora_B.weight"].double() @ held[f"{name}.lora_A.weight"].double()


@pytest.mark.parametrize("rank", [1, 4, 10])
def test_it_is_the_nearest_of_its_rank_in_every_layer(world, tmp_path, rank):
    base, whole = world
    found = compress(whole, tmp_path / "out", rank=rank, base=base.name)
    left = total = 0.0
    for name in sorted({key.rpartition(".lora_")[0] for key in load_file(str(whole / WEIGHTS))}):
        values = torch.linalg.svdvals(added(whole, name))
        away = torch.linalg.norm(added(whole, name) - added(tmp_path / "out", name))
        due = values[rank:].square().sum()
        torch.testing.assert_close(away.square(), due, rtol=1e-4, atol=1e-9)
        left, total = left + float(due), total + float(values.square().sum())
    assert found.lost == pytest.approx((left / total) ** 0.5, rel=1e-6)
    assert (found.rank, found.kept) == (11, rank)
    assert found.lost <= found.worst_lost < 1


def test_nothing_is_lost_where_every_rank_is_kept(world, tmp_path):
    base, whole = world
    found = compress(whole, tmp_path / "out", rank=64, base=base.name)
    assert (found.kept, found.lost) == (11, 0.0)
    said = []
    for folder in (whole, tmp_path / "out"):
        model = attach_parent(models.load(base, dtype="float32").model, folder)
        with torch.no_grad():
            said.append(model(input_ids=IDS).logits)
    torch.testing.assert_close(*said, atol=1e-4, rtol=0)


def test_the_same_adapter_gives_the_same_bits(world, tmp_path):
    base, whole = world
    for out in ("one", "other"):
        compress(whole, tmp_path / out, rank=4, base=base.name)
    assert digest(tmp_path / "one") == digest(tmp_path / "other")
    assert not (tmp_path / "one" / SLICES).exists()


def test_layers_narrower_than_the_rank_keep_what_they_have():
    a_RI, b_OR = torch.randn(9, 3), torch.randn(20, 9)
    a_KI, b_OK, values_R = nearest(a_RI, b_OR, 8)
    assert (a_KI.shape, b_OK.shape) == ((8, 3), (20, 8))
    assert len(values_R) == 3
    torch.testing.assert_close(b_OK @ a_KI, b_OR @ a_RI, atol=1e-4, rtol=1e-4)
