"""An adapter's folder is compared with what its weights' head and the recipe say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bakery.engine.models.adapter_check import damages, parts
from bakery.engine.models.adapter_folder import write_config, write_slices
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from tests.support.adapters import CHAIN, adapter, header, written
from tests.support.version_1 import unpacked

Edit = Callable[[dict[str, Any]], Any]


def set_to(**values: Any) -> Edit:
    return lambda config: config | values


CONFIGS: dict[str, tuple[Edit, str]] = {
    "alpha doubled": (set_to(lora_alpha=6), "lora_alpha is 6, where the weights say 3"),
    "alpha as text": (set_to(lora_alpha="3"), "lora_alpha is '3'"),
    "alpha true": (set_to(r=True), "r is True"),
    "rank": (set_to(r=4), "r is 4"),
    "no rank": (lambda c: {k: v for k, v in c.items() if k != "r"}, "r is None"),
    "rsLoRA": (set_to(use_rslora=True), "use_rslora is True, which no bake writes"),
    "DoRA": (set_to(use_dora=True), "use_dora is True"),
    "bias": (set_to(bias="all"), "bias is 'all'"),
    "a bias of its own": (set_to(lora_bias=True), "lora_bias is True"),
    "rank_pattern": (set_to(rank_pattern={"q_proj": 8}), "rank_pattern is"),
    "alpha_pattern": (set_to(alpha_pattern={"q_proj": 99}), "alpha_pattern is"),
    "modules_to_save": (set_to(modules_to_save=["lm_head"]), "modules_to_save is"),
    "some layers": (set_to(layers_to_transform=[0]), "layers_to_transform is"),
    "layers again": (set_to(layer_replication=[[0, 2], [1, 3]]), "layer_replication is"),
    "fewer modules": (set_to(target_modules=["q_proj"]), "target_modules leave out"),
    "other modules": (set_to(target_modules=["q_proj", "up_proj", "k_proj"]), "name k_proj"),
    "modules as an expression": (set_to(target_modules=".*"), "not a list of names"),
    "left out": (set_to(exclude_modules=["q_proj"]), "exclude_modules is"),
    "dropout": (set_to(lora_dropout=0.5), "lora_dropout is 0.5"),
    "PiSSA": (set_to(init_lora_weights="pissa"), "init_lora_weights is 'pissa'"),
    "random where missing": (set_to(init_lora_weights=False), "init_lora_weights is False"),
    "another method": (set_to(peft_type="LOHA"), "peft_type is 'LOHA'"),
    "no method": (lambda c: {k: v for k, v in c.items() if k != "peft_type"}, "no peft_type"),
    "what nobody knows yet": (set_to(use_tomorrow=True), "use_tomorrow is True"),
    "a list": (lambda _: [], "it is a list, not an object"),
}


@pytest.mark.parametrize(("edit", "said"), CONFIGS.values(), ids=CONFIGS)
def test_a_configuration_that_computes_something_else_is_named(
    workplace: Path, edit: Edit, said: str
) -> None:
    path = adapter(workplace / "4") / "adapter_config.json"
    path.write_text(json.dumps(edit(json.loads(path.read_text()))), encoding="utf-8")
    (found,) = damages(workplace / "4", CHAIN)
    assert (found.path, found.is_derived) == (path, True)
    assert said in found.why


def test_what_peft_writes_beside_is_as_it_should_be(workplace: Path) -> None:
    path = adapter(workplace / "4") / "adapter_config.json"
    more = {
        "auto_mapping": None, "peft_version": "0.18.0", "alpha_pattern": {}, "use_dora": False,
        "init_lora_weights": True, "megatron_core": "megatron.core", "qalora_group_size": 16,
        "revision": None, "inference_mode": False, "lora_alpha": 3.0,
    }  # fmt: skip
    path.write_text(json.dumps(json.loads(path.read_text()) | more), encoding="utf-8")
    assert damages(workplace / "4", CHAIN) == []


SLICES: dict[str, tuple[str, str]] = {
    "another order": (json.dumps([["bbbbbbbbbbbbbbbb", 0, 1], ["aaaaaaaaaaaaaaaa", 1, 3]]), "each"),
    "another bake": (json.dumps([["aaaaaaaaaaaaaaaa", 0, 2], ["cccccccccccccccc", 2, 3]]), "each"),
    "other ranks": (json.dumps([["aaaaaaaaaaaaaaaa", 0, 1], ["bbbbbbbbbbbbbbbb", 1, 3]]), "each"),
    "one bake": (json.dumps([["bbbbbbbbbbbbbbbb", 0, 3]]), "each bake of the chain"),
    "too few ranks": (json.dumps([["bbbbbbbbbbbbbbbb", 0, 2]]), "it shares out 2 ranks"),
    "a gap": (json.dumps([["aaaaaaaaaaaaaaaa", 0, 1], ["bbbbbbbbbbbbbbbb", 2, 3]]), "follow"),
    "half a rank": (json.dumps([["aaaaaaaaaaaaaaaa", 0, 2.5]]), "no whole numbers"),
    "no list": ("{}", "it is an object, not a list"),
    "deep": ("[" * 10_000, "deeper|not JSON"),
    "nothing": ("", "it is not JSON"),
}


@pytest.mark.parametrize(("text", "said"), SLICES.values(), ids=SLICES)
def test_slices_that_the_recipe_does_not_say_are_named(
    workplace: Path, text: str, said: str
) -> None:
    path = adapter(workplace / "4") / "slices.json"
    if text.startswith('[["'):
        keys = ("bake_id", "start", "stop")
        text = json.dumps([dict(zip(keys, row, strict=True)) for row in json.loads(text)])
    path.write_text(text, encoding="utf-8")
    (found,) = damages(workplace / "4", CHAIN)
    assert found.path == path
    assert any(part in found.why for part in said.split("|")), found.why


def test_a_chain_whose_beginning_no_branch_has_is_compared_from_its_end(workplace: Path) -> None:
    folder = adapter(workplace / "4")
    assert damages(folder, CHAIN[-1:], whole=False) == []
    assert damages(folder, CHAIN[-1:]) != []
    assert "more than 3 together" in damages(folder, [("b" * 16, 3)], whole=False)[0].why
    assert damages(folder, None) == []


Heads = dict[str, tuple[Callable[[dict[str, Any]], None], str]]


def _moved(name: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda head: head[name].update(values)


Q_A, Q_B = (f"base_model.model.model.layers.0.self_attn.q_proj.lora_{f}.weight" for f in "AB")
HEADS: Heads = {
    "overlapping": (_moved(Q_B, data_offsets=[0, 48]), "does not lie behind"),
    "beyond the end": (_moved(Q_B, data_offsets=[48, 1 << 40]), "does not lie behind"),
    "too long a shape": (_moved(Q_A, shape=[3, 1 << 60]), "does not lie behind"),
    "negative": (_moved(Q_A, shape=[-3, -4]), "says nothing sensible"),
    "another type": (_moved(Q_A, dtype="I32"), "of the kind I32"),
    "no type": (_moved(Q_A, dtype=[]), "says nothing sensible"),
    "ranks of two sizes": (_moved(Q_A, shape=[6, 2]), "its ranks are [3, 6]"),
    "no matrix": (_moved(Q_A, shape=[3, 2, 2]), "is no matrix"),
    "no B": (lambda h: h.update({"x": h.pop(Q_B)}), "no composed adapter holds x"),
    "a tensor more": (lambda h: h.update({"lm_head": h[Q_A]}), "does not lie|holds lm_head"),
    "a tensor less": (lambda h: h.pop(Q_B), "does not lie|instead of|has no lora_B"),
}


@pytest.mark.parametrize(("edit", "said"), HEADS.values(), ids=HEADS)
def test_a_head_that_lies_is_named(workplace: Path, edit: Any, said: str) -> None:
    weights = adapter(workplace / "4") / "adapter_model.safetensors"
    head, data = header(weights)
    edit(head)
    written(weights, head, data)
    (found,) = damages(workplace / "4", CHAIN)
    assert not found.is_derived
    assert any(part in found.why for part in said.split("|")), found.why


@pytest.mark.parametrize("cut", [0, 4, 8, 100, -1])
def test_weights_cut_short_are_named(workplace: Path, cut: int) -> None:
    weights = adapter(workplace / "4") / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:cut])
    (found,) = damages(workplace / "4", CHAIN)
    assert found.path == weights


def test_every_bake_of_an_old_store_is_what_it_must_be(workplace: Path) -> None:
    repo = ModelRepo.find(unpacked(workplace / "old"))
    lineage, seen = repo.lineage(), 0
    for bake in lineage.bakes.values():
        chain, whole = show.ranks(lineage, bake)
        assert whole
        for model in bake.models:
            folder = repo.store.bake(bake.id) / str(model.step)
            assert damages(folder, chain) == []
            write_config(folder, base=repo.state().base.name)
            write_slices(folder, parts(chain))
            assert damages(folder, chain) == []
            seen += 1
    assert seen > 1
