"""What is left of a chain without one of its bakes, and how far that moves its answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bakery.backends.local import LocalModel
from bakery.engine.models.adapter_folder import slices, write_config, write_slices
from bakery.engine.models.strength import AS_BAKED, Dial, Strength
from bakery.evals import moved
from bakery.records import Prompt
from tests.support.baking import NOTHING, Bench
from tests.support.models import random_model

QUESTIONS = [({"role": "user", "content": f"q{n} what?"},) for n in range(3)]
IDS = torch.tensor([[1, 88, 120, 40, 7, 2, 99, 100]])

Chain = tuple[Bench, list[Path]]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A bench with three bakes, each on the one before; their folders."""
    root = tmp_path_factory.mktemp("moved")
    bench = Bench(root / "store", random_model(root / "model"))
    made = None
    folders = []
    for text in ("SHOUT!", "Whisper.", "Sing."):
        prompt = Prompt(({"role": "system", "content": text},))
        made = bench.bake(teacher=prompt, questions=8, epochs=3, learning_rate=0.02, parent=made)
        folders.append(Path(made["folder"]))
    return bench, folders


def of_others_only(folder: Path, left_out: int, out: Path) -> Path:
    """Write the adapter that is composed of all slices but one."""
    parts = slices(folder)
    kept = [part for at, part in enumerate(parts) if at != left_out]
    ranks = [rank for part in kept for rank in range(part.start, part.stop)]
    found = {
        name: (tensor[ranks] if ".lora_A." in name else tensor[:, ranks]).contiguous()
        for name, tensor in load_file(folder / "adapter_model.safetensors").items()
    }
    out.mkdir()
    save_file(found, out / "adapter_model.safetensors")
    write_config(out, base="x")
    start, rows = 0, []
    for part in kept:
        size = part.stop - part.start
        rows.append(type(part)(part.bake_id, start, start + size))
        start += size
    write_slices(out, rows)
    return out


def logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.parametrize("left_out", range(3))
def test_a_chain_without_a_bake_is_the_one_composed_of_the_others(chain, tmp_path, left_out):
    bench, folders = chain
    local = LocalModel(bench.base(), parent=folders[-1])
    dial = Dial(local.model, folders[-1])
    whole = logits(local.model)
    dial.turn(Strength(without=frozenset({dial.bakes[left_out]})))
    others = of_others_only(folders[-1], left_out, tmp_path / "others")
    due = logits(LocalModel(bench.base(), parent=others).model)
    torch.testing.assert_close(logits(local.model), due, rtol=0, atol=1e-4)
    assert not torch.allclose(whole, due, atol=1e-2)


def test_without_the_later_bakes_it_is_the_chain_as_it_was(chain):
    bench, folders = chain
    local = LocalModel(bench.base(), parent=folders[-1])
    dial = Dial(local.model, folders[-1])
    for length, folder in ((2, folders[1]), (1, folders[0]), (0, None)):
        dial.turn(Strength(without=frozenset(dial.bakes[length:])))
        due = logits(LocalModel(bench.base(), parent=folder).model)
        torch.testing.assert_close(logits(local.model), due, rtol=0, atol=1e-4)


def test_how_far_an_answer_moves_is_the_divergence_at_its_tokens(chain):
    bench, folders = chain
    local = LocalModel(bench.base(), parent=folders[-1])
    dial = Dial(local.model, folders[-1])
    prefixes = moved.read(local, [(NOTHING, one) for one in QUESTIONS], 8)
    heard = moved.hear(local, prefixes, 8)
    assert [one.kl for one in moved.moved(local, heard)] == pytest.approx([0.0] * 3, abs=1e-5)
    without = Strength(without=frozenset({dial.bakes[0]}))
    dial.turn(without)
    found = moved.moved(local, heard)
    for ids, said, one in zip(prefixes, heard.said, found, strict=True):
        read = torch.tensor([[*ids, *said.ids]])
        rows = []
        for strength in (AS_BAKED, without):
            dial.turn(strength)
            with torch.no_grad():
                out = local.model(input_ids=read).logits[0, len(ids) - 1 : -1]
            rows.append(torch.log_softmax(out.float(), -1))
        as_baked, left = rows
        each = (as_baked.exp() * (as_baked - left)).sum(-1)
        assert one.kl == pytest.approx(float(each.mean()), rel=1e-3, abs=1e-5)
        assert one.worst == pytest.approx(float(each.max()), rel=1e-3, abs=1e-5)
        assert one.tokens == len(said.ids)


def test_logits_kept_whole_say_the_same_as_what_the_head_read(chain):
    bench, folders = chain
    local = LocalModel(bench.base(), parent=folders[-1])
    dial = Dial(local.model, folders[-1])
    prefixes = moved.read(local, [(NOTHING, one) for one in QUESTIONS], 8)
    both = [moved.hear(local, prefixes, 8, whole=whole) for whole in (False, True)]
    dial.turn(Strength(without=frozenset({dial.bakes[1]})))
    found = [[one.kl for one in moved.moved(local, heard)] for heard in both]
    assert found[0] == pytest.approx(found[1], rel=1e-3, abs=1e-6)
    assert moved.heads_are_the_base_s(local)
