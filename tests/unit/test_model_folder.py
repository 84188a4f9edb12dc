"""A folder that is no whole base model is refused by name, before a weight is read."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bakery import pointers
from bakery.data import sources
from bakery.engine.bases import bases, folders, machine, weights
from bakery.engine.text import template
from bakery.errors import ConfigError, ModelError
from bakery.settings.prefix import read_text
from tests.support.commands import typed_here
from tests.support.model_folders import POINTER, change, model_folder, shapes, write_weights

Harm = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folder(tmp_path_factory.mktemp("models") / "whole")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def config(**values: object) -> Harm:
    return lambda folder: change(folder / "config.json", **values)


def text(name: str, content: str | bytes) -> Harm:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def without(*names: str) -> Harm:
    kept = {name: shape for name, shape in shapes().items() if not name.endswith(names)}
    return lambda folder: write_weights(folder / weights.ONE, kept)


def with_values(**values: bytes) -> Harm:
    return lambda folder: write_weights(folder / weights.ONE, shapes(), **values)


def cut(folder: Path) -> None:
    path = folder / weights.ONE
    path.write_bytes(path.read_bytes()[:-10])


def longer(folder: Path) -> None:
    path = folder / weights.ONE
    path.write_bytes(path.read_bytes() + b"12345678")


def in_parts(folder: Path, *, named: str = "b.safetensors") -> None:
    """Put the weights into two files; the index calls the second one as `named`."""
    (folder / weights.ONE).unlink()
    first = {name: shape for name, shape in shapes().items() if "layers.0" in name}
    second = {name: shape for name, shape in shapes().items() if name not in first}
    write_weights(folder / "a.safetensors", first)
    write_weights(folder / "b.safetensors", second)
    names = dict.fromkeys(first, "a.safetensors") | dict.fromkeys(second, named)
    (folder / weights.INDEX).write_text(json.dumps({"weight_map": names}))


def index_cut(folder: Path) -> None:
    in_parts(folder)
    text(weights.INDEX, "{")(folder)


def part_gone(folder: Path) -> None:
    in_parts(folder)
    (folder / "b.safetensors").unlink()


def twice(folder: Path) -> None:
    in_parts(folder)
    write_weights(folder / "b.safetensors", shapes())


def adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    adapter_beside(folder)


def adapter_beside(folder: Path) -> None:
    text(folders.ADAPTER, '{"base_model_name_or_path": "org/base"}')(folder)


def head(**entry: object) -> Harm:
    data = json.dumps({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4], **entry}})
    whole = len(data).to_bytes(8, "little") + data.encode() + bytes(4)
    return text(weights.ONE, whole)


DEEP = "[" * 100 + "]" * 100
AT_LOADING: dict[str, tuple[Harm, str]] = {
    "weights that are a pointer": (text(weights.ONE, POINTER), "safetensors is a git-lfs pointer"),
    "tokenizer that is a pointer": (text("tokenizer.json", POINTER), "tokenizer.json is a git-lfs"),
    "config that is a pointer": (text("config.json", POINTER), "config.json is a git-lfs pointer"),
    "template that is a pointer": (text("chat_template.jinja", POINTER), "jinja is a git-lfs"),
    "ends that are a pointer": (text("generation_config.json", POINTER), "json is a git-lfs"),
    "config that is no JSON": (text("config.json", "{"), "config.json is damaged: it is no"),
    "config that is a list": (text("config.json", "[]"), "it is a list, not an object"),
    "config that is deep": (text("config.json", f'{{"a": {DEEP}}}'), "deeper than 64"),
    "config without an end": (text("config.json", "[" * 200_000), "deeper than 64"),
    "config that is not UTF-8": (text("config.json", b'{"a": "\xff"}'), "it is not UTF-8"),
    "config with NaN": (text("config.json", '{"a": NaN}'), "it has NaN for a number"),
    "config that is too large": (text("config.json", b" " * (17 << 20)), "has 17 MB, over 16 MB"),
    "no model_type": (config(model_type=None), "names no model_type"),
    "a model_type of numbers": (config(model_type=3), "names no model_type"),
    "a negative size": (config(hidden_size=-8), "says hidden_size -8: a number up to"),
    "a size that is text": (config(num_hidden_layers="2"), "says num_hidden_layers '2'"),
    "layers without end": (config(num_hidden_layers=10**9), "layers 1000000000: a number"),
    "a large vocabulary": (config(model_type="jamba", vocab_size=1 << 24), "16,777,216 and h"),
    "ends that are no JSON": (text("generation_config.json", "eos"), "n_config.json is damaged"),
    "settings that are a list": (text("tokenizer_config.json", "[]"), "not an object"),
    "a template that is not UTF-8": (text("chat_template.jinja", b"\xff"), "is not text in UTF-8"),
    "code of its own": (
        config(model_type="mine", auto_map={"AutoModelForCausalLM": "modeling_mine.Mine"}),
        r"names code of its own, modeling_mine\.Mine, which is not run",
    ),
    "code of its own under a known name": (
        config(auto_map={"AutoModelForCausalLM": "modeling_mine.Mine"}), "names code of its own"),
    "attention of the hub": (
        config(_attn_implementation="kernels-community/flash"), "is native code of the hub"),
    "attention of the hub for a part": (
        config(text_config={"attn_implementation": "a/b:c"}), "is native code of the hub"),
    "weights of another name": (config(transformers_weights="x.safetensors"), "takes its weights"),
    "weights that are cut short": (cut, r"it has [\d,]+ bytes instead of [\d,]+"),
    "weights that go on": (longer, "bytes instead of"),
    "a head that is no JSON": (text(weights.ONE, b"\x02" + bytes(7) + b"{x"), "not a whole"),
    "a head that is a list": (text(weights.ONE, b"\x02" + bytes(7) + b"[]"), "not an object"),
    "a head longer than the file": (text(weights.ONE, b"\xff" * 8), "is no safetensors file"),
    "an empty file": (text(weights.ONE, b""), "it is no safetensors file, or cut short"),
    "a shape that is not its bytes": (head(shape=[3]), "a does not lie behind"),
    "a negative shape": (head(shape=[-1, -2]), "its head says nothing sensible of a"),
    "bytes that overlap": (head(data_offsets=[2, 6]), "a does not lie behind"),
    "weights under another name": (
        lambda folder: (folder / weights.ONE).rename(folder / "consolidated.safetensors"),
        "holds neither model.safetensors nor model.safetensors.index.json, and consolidated"),
    "a part that is gone": (part_gone, r"lacks b\.safetensors, which model.safetensors.index.json"),
    "a part elsewhere": (
        lambda folder: in_parts(folder, named="../b.safetensors"), "no safetensors file beside it"),
    "an index that is no JSON": (index_cut, r"index\.json is damaged"),
    "a weight in two parts": (twice, r"both hold model\.layers\.0"),
    "no weight of a layer": (
        without("layers.1.mlp.up_proj.weight"), r"lacks model\.layers\.1\.mlp\.up_proj\.weight"),
    "no layer": (config(num_hidden_layers=3), r"lacks model\.layers\.2: config.json says 3 layers"),
    "no embeddings": (without("embed_tokens.weight"), r"lacks embed_tokens\.weight"),
    "no last norm": (without("model.norm.weight"), r"lacks norm\.weight"),
    "no head of its own": (config(tie_word_embeddings=False), r"lacks lm_head\.weight"),
    "a weight of another shape": (
        config(intermediate_size=32), "up_proj.weight as 16×8, and its config.json makes it 32×8"),
    "an adapter": (adapter, "is an adapter on org/base, not a base model"),
    "an adapter beside a model": (adapter_beside, "holds an adapter beside a model"),
}  # fmt: skip
"""What is refused from heads and texts alone, whenever a base is loaded."""

WHEN_NEW: dict[str, tuple[Harm, str]] = {
    "a token beyond the embeddings": (
        lambda folder: (
            config(vocab_size=2047)(folder), write_weights(folder / weights.ONE, shapes(2047)),
        ),
        r"has the token .* \(id 2047\), and the model 2047 embeddings"),
    "a token that only its settings name": (
        lambda folder: change(folder / "tokenizer_config.json",
                              added_tokens_decoder={"2048": {"content": "<|new|>"}}),
        r"has the token <\|new\|> \(id 2048\), and the model 2048 embeddings"),
    "a tokenizer that is none": (text("tokenizer.json", '{"model": {}}'), "is not a tokenizer"),
    "NaN": (with_values(layers__1__mlp__up_proj__weight=b"\xc0\x7f"),
            r"finite numbers \(NaN or Inf\) in model\.layers\.1\.mlp\.up_proj\.weight"),
    "Inf": (with_values(model__norm__weight=b"\x80\x7f"), r"in model\.norm\.weight"),
    "minus Inf": (with_values(model__norm__weight=b"\x80\xff"), r"in model\.norm\.weight"),
}  # fmt: skip
"""What is found by reading all of it, when a repository is made on it."""


def test_a_whole_folder_is_taken(folder):
    assert bases.identify(str(folder)).hidden_size == 8
    in_parts(folder)
    assert bases.identify(str(folder)).family == "qwen3"


@pytest.mark.parametrize("case", AT_LOADING)
def test_a_folder_that_is_not_whole_is_refused_by_name(folder, case):
    harm, said = AT_LOADING[case]
    harm(folder)
    with pytest.raises(ModelError, match=said):
        bases.identify(str(folder))
    with pytest.raises(ModelError, match=said):
        folders.check(folder)


@pytest.mark.parametrize("case", WHEN_NEW)
def test_a_new_base_is_read_as_a_whole(folder, case):
    harm, said = WHEN_NEW[case]
    harm(folder)
    with pytest.raises(ModelError, match=said):
        bases.identify(str(folder))


def test_a_base_that_became_a_pointer_is_called_one(folder):
    base = bases.identify(str(folder))
    text(weights.ONE, POINTER)(folder)
    with pytest.raises(ModelError, match="is a git-lfs pointer"):
        bases.check(base)


@pytest.mark.parametrize(
    "harm",
    [
        config(auto_map={"AutoConfig": "configuration_qwen3.Qwen3Config",
                         "AutoModelForCausalLM": "modeling_qwen3.Qwen3ForCausalLM"}),
        config(_attn_implementation="sdpa"),
        config(model_type="jamba", num_hidden_layers=1),
        lambda folder: change(folder / "tokenizer_config.json",
                              added_tokens_decoder={"2048": {"content": "<image_soft_token>"}}),
    ],
    ids=["code that transformers has by now", "plain attention", "layers that differ", "pictures"],
)  # fmt: skip
def test_what_only_looks_odd_is_taken(folder, harm):
    harm(folder)
    assert bases.identify(str(folder)).name == str(folder)


def test_code_of_its_own_is_taken_where_it_is_trusted(folder):
    config(model_type="mine", auto_map={"AutoModelForCausalLM": "modeling_mine.Mine"})(folder)
    folders.check(folder, own_code=True)


def test_a_folder_is_looked_through_without_tensors(folder):
    code = (
        "import sys; from bakery.engine.bases import bases; bases.identify(sys.argv[1]); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "harm",
    [
        text("config.json", f'{{"a": {DEEP}}}'),
        text("config.json", "[" * 200_000),
        text("config.json", "[]"),
        config(num_attention_heads=0, head_dim=None),
        text("tokenizer_config.json", "[" * 200_000),
    ],
)
def test_what_only_estimates_knows_nothing_of_a_damaged_base(folder, harm):
    (folder / "chat_template.jinja").unlink()
    base = bases.identify("tiny")
    moved = replace(base, name=str(folder))
    harm(folder)
    assert not (machine.shape_of(moved) and template.own_prompt(moved))
    assert template.unnamed_end(moved) is None


def test_init_refuses_with_the_models_exit_code(workplace, folder):
    text(weights.ONE, POINTER)(folder)
    ran = typed_here("init", "new", "--base-model", str(folder))
    assert ran.exit_code == 5
    assert "is a git-lfs pointer" in ran.output
    assert "git lfs pull" in ran.output


def test_a_data_file_that_is_a_pointer_is_called_one(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(POINTER)
    with pytest.raises(ConfigError, match="is a git-lfs pointer") as caught:
        read_text(path)
    assert caught.value.hint == pointers.PULL


def test_a_folder_of_data_with_a_pointer_in_it_is_refused(tmp_path):
    (tmp_path / "train.txt").write_text(POINTER)
    with pytest.raises(ConfigError, match=r"train\.txt is a git-lfs pointer"):
        sources.read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
@pytest.mark.parametrize(
    "name", ["config.json", "chat_template.jinja", "model.safetensors", "generation_config.json"]
)
def test_a_pipe_in_a_folder_is_not_waited_for(folder, name):
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with contextlib.suppress(ModelError):  # a base need not have all of these
        bases.identify(str(folder))
