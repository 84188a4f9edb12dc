"""Adapters that are not what they say: each is refused by name before it says a word."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from bakery.engine.models import adapters
from bakery.engine.models.strength import Dial, Strength
from bakery.errors import ModelError
from tests.support.adapters import header, written
from tests.support.baking import training
from tests.support.models import random_model

WEIGHTS, CONFIG, SLICES = "adapter_model.safetensors", "adapter_config.json", "slices.json"
ID = "a" * 16

Tensors = dict[str, torch.Tensor]
Poison = Callable[[Path], None]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random model."""
    return random_model(tmp_path_factory.mktemp("base") / "model")


def model(base: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(base).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def healthy(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of a bake, with weights that do something."""
    student = adapters.attach_new(model(base), training())
    with torch.no_grad():
        for parameter in student.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.02)
    folder = tmp_path_factory.mktemp("adapter") / "4"
    adapters.save_composed(student, folder, bake_id=ID, parent=None)
    return folder


def tensors(change: Callable[[Tensors, str], Any]) -> Poison:
    """Change the tensors of a file, of which one is chosen by the seed of the table."""

    def poison(folder: Path) -> None:
        found = load_file(folder / WEIGHTS)
        chosen = random.Random(15).choice(sorted(name for name in found if "lora_B" in name))
        change(found, chosen)
        save_file({k: v.contiguous() for k, v in found.items()}, folder / WEIGHTS)

    return poison


def one(value: float) -> Poison:
    def change(found: Tensors, name: str) -> None:
        found[name].view(-1)[7] = value

    return tensors(change)


def said(**values: Any) -> Poison:
    """Change what the configuration says."""

    def poison(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        (folder / CONFIG).write_text(json.dumps(config | values), encoding="utf-8")

    return poison


def foreign(poison: Poison) -> Poison:
    """Poison an adapter that another program made: it has no slices, and its own alpha."""

    def both(folder: Path) -> None:
        (folder / SLICES).unlink()
        said(lora_alpha=8)(folder)
        poison(folder)

    return both


def head(change: Callable[[dict[str, Any], str], Any]) -> Poison:
    """Change what the head of the weights says of the bytes behind it."""

    def poison(folder: Path) -> None:
        found, data = header(folder / WEIGHTS)
        change(found, min(name for name in found if "lora_B" in name))
        written(folder / WEIGHTS, found, data)

    return poison


def both_of(name: str, found: Tensors) -> list[str]:
    return [name, name.replace("lora_B", "lora_A")]


def without_a_layer(found: Tensors, name: str) -> None:
    for part in both_of(name, found):
        del found[part]


def moved_to(layer: str) -> Callable[[Tensors, str], None]:
    def change(found: Tensors, name: str) -> None:
        for part in both_of(name, found):
            found[part.replace(".layers.0.", layer).replace(".layers.1.", layer)] = found.pop(part)

    return change


def longer(found: Tensors, name: str) -> None:
    found[name] = torch.cat([found[name], found[name]])


def of_rank_one(found: Tensors, name: str) -> None:
    found[name] = found[name][:, :1]


def integers(found: Tensors, name: str) -> None:
    found[name] = found[name].to(torch.int32)


def embedding(found: Tensors, name: str) -> None:
    found["base_model.model.model.embed_tokens.weight"] = torch.zeros(259, 32)


def as_text(name: str, text: str) -> Poison:
    def poison(folder: Path) -> None:
        (folder / name).write_text(text, encoding="utf-8")

    return poison


def as_pipe(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def only_a_pickle(folder: Path) -> None:
    torch.save(load_file(folder / WEIGHTS), folder / "adapter_model.bin")
    (folder / WEIGHTS).unlink()


def cut(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, (folder / WEIGHTS).stat().st_size - 100)


def overlapping(found: dict[str, Any], name: str) -> None:
    first, last = found[name]["data_offsets"]
    found[name]["data_offsets"] = [first - 4, last - 4]


def other_ranks(folder: Path) -> None:
    as_text(SLICES, json.dumps([{"bake_id": ID, "start": 0, "stop": 3}]))(folder)


POISONED: dict[str, tuple[Poison, str]] = {
    "NaN": (one(float("nan")), "holds NaN"),
    "infinite": (one(float("inf")), "infinite or too large"),
    "minus infinite": (one(float("-inf")), "infinite or too large"),
    "too large": (one(1e30), "infinite or too large"),
    "NaN, of another program": (foreign(one(float("nan"))), "holds NaN"),
    "B without A": (tensors(lambda t, n: t.pop(n.replace("lora_B", "lora_A"))), "has no lora_A"),
    "a layer less": (tensors(without_a_layer), "which the weights do not have"),
    "a layer less, foreign": (foreign(tensors(without_a_layer)), "it lacks"),
    "a layer that is not there": (tensors(moved_to(".layers.9.")), "which the weights have"),
    "the same, foreign": (foreign(tensors(moved_to(".layers.9."))), "it lacks"),
    "an embedding more": (tensors(embedding), "no composed adapter holds"),
    "an embedding more, foreign": (foreign(tensors(embedding)), "has no place for"),
    "a wrong shape": (tensors(longer), "cannot be loaded: "),
    "one of another rank": (tensors(of_rank_one), "its ranks are"),
    "integers": (tensors(integers), "numbers of the kind I32"),
    "overlapping": (head(overlapping), "does not lie behind"),
    "cut": (cut, "it has .* bytes instead of"),
    "no weights": (as_text(WEIGHTS, ""), "no safetensors file"),
    "a pipe": (as_pipe, "holds no adapter_model.safetensors"),
    "only a pickle": (only_a_pickle, "holds no adapter_model.safetensors"),
    "alpha doubled": (said(lora_alpha=8), "lora_alpha is 8, where the weights say 4"),
    "alpha 0": (foreign(said(lora_alpha=0)), "lora_alpha is 0"),
    "alpha negative": (foreign(said(lora_alpha=-8)), "lora_alpha is -8"),
    "alpha absurd": (foreign(said(lora_alpha=1e9)), "lora_alpha is 1000000000"),
    "alpha NaN": (foreign(said(lora_alpha=float("nan"))), "NaN"),
    "a rank of text": (foreign(said(r="4")), "r is '4'"),
    "an absurd alpha_pattern": (foreign(said(alpha_pattern={"q_proj": 1e9})), "alpha_pattern of"),
    "a false rank_pattern": (foreign(said(rank_pattern={"q_proj": 0})), "rank_pattern has"),
    "another rank_pattern": (foreign(said(rank_pattern={"q_proj": 2})), "cannot be loaded"),
    "rsLoRA": (said(use_rslora=True), "use_rslora is True"),
    "DoRA": (said(use_dora=True), "use_dora is True"),
    "DoRA, foreign, without its magnitudes": (foreign(said(use_dora=True)), "it lacks"),
    "bias": (said(bias="all"), "bias is 'all'"),
    "modules_to_save": (said(modules_to_save=["lm_head"]), "modules_to_save is"),
    "modules_to_save, foreign": (foreign(said(modules_to_save=["lm_head"])), "it lacks|cannot"),
    "PiSSA": (foreign(said(init_lora_weights="pissa")), "changes the weights of the base"),
    "layers again": (foreign(said(layer_replication=[[0, 2], [1, 2]])), "changes the layers"),
    "fewer modules": (foreign(said(target_modules=["q_proj"])), "has no place for"),
    "ranks shared out otherwise": (other_ranks, "it shares out 3 ranks"),
    "no slices": (as_text(SLICES, "{"), "slices.json: it is not JSON"),
    "no configuration": (as_text(CONFIG, "[]"), "it is a list, not an object"),
    "a deep configuration": (as_text(CONFIG, "[" * 100_000), "deeper|not JSON"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("poison", "why"), POISONED.values(), ids=POISONED)
def test_a_poisoned_adapter_is_refused_by_name(
    base: Path, healthy: Path, tmp_path: Path, poison: Poison, why: str
) -> None:
    folder = shutil.copytree(healthy, tmp_path / "4")
    poison(folder)
    with pytest.raises(ModelError, match=why) as caught:
        adapters.attach_parent(model(base), folder)
    assert str(folder) in caught.value.message


def test_healthy_ones_are_taken(base: Path, healthy: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(healthy, tmp_path / "4")
    adapters.attach_parent(model(base), folder)
    foreign(said(use_rslora=True, peft_version="0.1", init_lora_weights="gaussian"))(folder)
    adapters.attach_parent(model(base), folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"bias": "all"}, "bias"),
        ({"use_dora": True}, "use_dora"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "an adapted embedding"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
    ],
)
def test_no_strength_is_set_of_what_is_more_than_matrices(
    base: Path, tmp_path: Path, more: dict[str, Any], what: str
) -> None:
    """Such adapters of other programs are taken as they are."""
    config = LoraConfig(**{"r": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", **more})
    get_peft_model(model(base), config).save_pretrained(tmp_path / "4")
    attached = adapters.attach_parent(model(base), tmp_path / "4")
    with pytest.raises(ModelError, match=f"has {what}: it does more than add"):
        Dial(attached, tmp_path / "4").turn(Strength(own=0.5))


def test_an_adapter_of_a_wider_model_is_refused(healthy: Path, tmp_path: Path) -> None:
    from tests.support.models import make_model, qwen3_config

    other = make_model(tmp_path / "wider", qwen3_config(hidden_size=64))
    with pytest.raises(ModelError, match="cannot be loaded"):
        adapters.attach_parent(model(other), healthy)
