"""What is written to GGUF is the model that it was, or it is refused before anything is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import gguf
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, MptConfig

from bakery.engine.export.gguf import (
    architectures,
    exporting,
    pre_tokenizer,
    storage,
    verifying,
    vocabulary,
    writing,
)
from bakery.engine.models import adapters, unpacking
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError
from bakery.identity import file_digest
from tests.support import disagreeing, exported, nasty
from tests.support.gguf_models import as_gguf

IDS = torch.arange(10, 70).reshape(2, 30)
CHAIN = [("b" * 16, 4), ("c" * 16, 3)]
F32 = storage.of("f32")


def unpacked(path: Path, folder: Path):
    folder.mkdir()
    unpacking.unpack(path, folder, file_digest(path))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def apart(one, other) -> float:
    with torch.no_grad():
        return float((one(IDS).logits - other(IDS).logits).abs().max())


QUICK = ("llama", "qwen3")
KINDS = [
    kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow)
    for kind in exported.MODELS
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_is_read_back_says_what_it_said(kind, tmp_path):
    base = exported.base(kind)
    written = writing.model(base, tmp_path / "model.gguf", F32, about={"name": "small"})
    back = unpacked(tmp_path / "model.gguf", tmp_path / "back")
    assert apart(back, base.model) < 1e-4
    assert set(written.kinds.values()) == {Kind.F32}
    assert written.notes == ()


@pytest.mark.parametrize("kind", ["llama", pytest.param("gemma2", marks=pytest.mark.slow)])
def test_a_lora_on_its_base_s_file_is_the_adapter_on_the_base(kind, tmp_path):
    base = exported.base(kind)
    folder = disagreeing.adapter(tmp_path / "adapter", base, CHAIN)
    before = base.model(IDS).logits
    writing.model(base, tmp_path / "model.gguf", F32, about={})
    writing.adapter(base, folder, tmp_path / "adapter.gguf", Kind.F32, about={})
    exporting.add(tmp_path / "model.gguf", tmp_path / "adapter.gguf")
    back = unpacked(tmp_path / "model.gguf", tmp_path / "back")
    assert apart(back, adapters.attach_parent(base.model, folder)) < 1e-4
    assert float((back(IDS).logits.detach() - before).abs().max()) > 0.1


def test_a_lora_says_what_it_is(tmp_path):
    base = exported.base("llama")
    folder = disagreeing.adapter(tmp_path / "adapter", base, CHAIN)
    writing.adapter(base, folder, tmp_path / "a.gguf", Kind.F32, about={"name": "a"})
    found = gguf.GGUFReader(str(tmp_path / "a.gguf"))
    said = {name: field.contents() for name, field in found.fields.items()}
    assert {key: said[key] for key in said if not key.startswith("GGUF.")} == {
        "general.architecture": "llama", "general.type": "adapter", "general.name": "a",
        "adapter.type": "lora", "adapter.lora.alpha": 7.0,
    }  # fmt: skip
    shapes = {tensor.name: list(tensor.shape) for tensor in found.tensors}
    assert shapes["blk.0.attn_q.weight.lora_a"] == [64, 7]
    assert shapes["blk.0.attn_q.weight.lora_b"] == [7, 128]
    assert len(shapes) == 2 * 7 * 2


@pytest.mark.parametrize(
    "name", ["q8_0", *(pytest.param(name, marks=pytest.mark.slow) for name in ("f16", "bf16"))]
)
def test_rounded_weights_are_off_by_no_more_than_their_kind_allows(name, tmp_path):
    base = exported.base("llama")
    written = writing.model(base, tmp_path / "model.gguf", storage.of(name), about={})
    own = base.model.state_dict()
    back = unpacked(tmp_path / "model.gguf", tmp_path / "back").state_dict()
    off = {key: float((back[key] - own[key]).abs().max() / own[key].abs().max()) for key in own}
    assert 0 < max(off.values()) <= storage.LOSS[storage.KINDS[name]]
    assert written.kinds["blk.0.attn_norm.weight"] is Kind.F32
    # A file of bfloat16 is unpacked to that whole, though its vectors are more exact.
    assert (off["model.norm.weight"] == 0) == (name != "bf16")


def test_a_row_that_is_no_multiple_of_a_block_is_kept_as_numbers():
    assert storage.of("q8_0").kind("blk.0.ffn_down.weight", (64, 96)) is Kind.Q8_0
    assert storage.of("q8_0").kind("blk.0.ffn_down.weight", (64, 90)) is Kind.F16
    assert storage.of("q8_0").kind("output_norm.weight", (64,)) is Kind.F32


def test_a_base_of_a_file_is_written_as_that_file_stores_it(tmp_path):
    file = as_gguf(tmp_path / "base.gguf", stored=Kind.Q4_1)
    unpacked(file, tmp_path / "base")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32).eval()
    chat = Chat(AutoTokenizer.from_pretrained(tmp_path / "base"), [2])
    base = replace(exported.base("llama"), model=model, chat=chat)
    changed = ["model.layers.0.self_attn.q_proj"]
    own = storage.of_file(file)
    writing.model(base, tmp_path / "again.gguf", own, about={}, changed=changed)
    before = {t.name: t for t in gguf.GGUFReader(str(file)).tensors}
    after = {t.name: t for t in gguf.GGUFReader(str(tmp_path / "again.gguf")).tensors}
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert after[name].tensor_type == tensor.tensor_type
        if name != "blk.0.attn_q.weight":
            assert bytes(after[name].data) == bytes(tensor.data)


def test_blocks_that_cannot_be_written_are_said_and_written_as_q8_0(tmp_path):
    own = storage.Storage(Kind.Q4_K, {"blk.0.attn_q.weight": Kind.Q4_K}, Path("base.Q4_K.gguf"))
    assert own.kind("blk.0.attn_q.weight", (64, 64)) is Kind.Q8_0
    assert not own.is_exact
    (note,) = writing.instead(own, {})
    assert "base.Q4_K.gguf stores weights as Q4_K" in note
    assert list(writing.instead(own, {"blk.0.attn_q.weight": None})) == []


REFUSED_MODELS = [
    ("llama", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0}}, "yarn"),
    ("llama", {"hidden_act": "gelu"}, "its activation is gelu"),
    ("qwen2", {"layer_types": ["sliding_attention"] * 2}, "see a window only"),
    ("gemma2", {"query_pre_attn_scalar": 16}, "scaled by 16"),
    ("gemma2", {"layer_types": ["full_attention"] * 2}, "in an unusual order"),
    ("gemma2", {"final_logit_softcapping": None}, "not capped"),
    ("gemma3", {"final_logit_softcapping": 5.0}, "are capped"),
]


@pytest.mark.parametrize(("kind", "changes", "why"), REFUSED_MODELS)
def test_what_llama_cpp_would_compute_otherwise_is_refused(kind, changes, why):
    config = exported.MODELS[kind]()
    for key, value in changes.items():
        setattr(config, key, value)
    with pytest.raises(ModelError, match=why) as caught:
        architectures.find(config)
    assert "llama.cpp would compute another model" in caught.value.message


def test_another_architecture_is_refused_by_name_with_the_official_converter():
    with pytest.raises(ModelError, match="'mpt'") as caught:
        architectures.find(MptConfig())
    assert "convert_hf_to_gguf.py" in caught.value.hint
    assert "https://github.com/ggml-org/llama.cpp" in caught.value.hint


def test_the_window_of_a_mistral_is_the_end_of_its_context():
    config = exported.MODELS["mistral"]()
    config.sliding_window = 100
    assert architectures.hyperparameters(config)["context_length"] == 100
    assert "its layers see 100 positions" in next(architectures.notes(config))


def read(tokenizer) -> vocabulary.Vocabulary:
    return vocabulary.read(Chat(tokenizer, [2]), rows=exported.ROWS)


@pytest.mark.parametrize("way", exported.WAYS)
def test_a_way_to_cut_text_is_told_from_how_the_tokenizer_is_built(way):
    assert read(exported.bytes_tokenizer(way)).said["pre"] == way
    assert set(exported.WAYS) == set(pre_tokenizer.NAMES.values())


def test_every_row_of_the_embedding_is_a_token_of_its_kind():
    said = read(exported.bytes_tokenizer()).said
    kinds = dict(zip(said["tokens"], said["token_type"], strict=True))
    assert len(said["tokens"]) == exported.ROWS
    assert kinds["<|im_end|>"] == gguf.TokenType.CONTROL
    assert kinds["<think>"] == gguf.TokenType.USER_DEFINED
    assert kinds["a"] == gguf.TokenType.NORMAL
    assert kinds[f"[PAD{exported.ROWS - 1}]"] == gguf.TokenType.UNUSED
    assert (said["eos_token_id"], said["add_bos_token"]) == (2, False)


def test_pieces_have_scores_in_the_order_of_their_merges():
    tokenizer = exported.pieces_tokenizer()
    said = read(tokenizer).said
    scores = dict(zip(said["tokens"], said["scores"], strict=True))
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    order = [scores["".join(merge)] for merge in merges]
    assert order == sorted(order, reverse=True)
    assert (said["model"], said["add_space_prefix"]) == ("llama", True)
    kinds = dict(zip(said["tokens"], said["token_type"], strict=True))
    assert kinds["<0x41>"] == gguf.TokenType.BYTE
    assert kinds["<unk>"] == gguf.TokenType.UNKNOWN


def _cut(step):
    def change(tokenizer):
        tokenizer.backend_tokenizer.pre_tokenizer = step

    return change


def _merge_less(tokenizer):
    own = json.loads(tokenizer.backend_tokenizer.to_str())
    merges = own["model"]["merges"]
    wholes = ["".join(merge) for merge in merges]
    merges.pop(next(at for at, whole in enumerate(wholes) if wholes.count(whole) > 1))
    tokenizer._tokenizer = type(tokenizer.backend_tokenizer).from_str(json.dumps(own))


def _lower(tokenizer):
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()


def _greedy_token(tokenizer):
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken("<more>", rstrip=True)])


REFUSED_TOKENIZERS = {
    "whitespace": ("bytes", _cut(pre_tokenizers.Whitespace()), "pre-tokenizer: .*Whitespace"),
    "blank in front": ("bytes", _cut(pre_tokenizers.ByteLevel()), "add_prefix_space"),
    "another pattern": ("bytes", _cut(exported._split(r"\p{L}+|.")), r"split \\p\{L\}"),
    "lower": ("bytes", _lower, "its normalizer is .*Lowercase"),
    "greedy token": ("bytes", _greedy_token, "<more>.*rstrip"),
    "always in front": ("pieces", _cut(pre_tokenizers.Metaspace(split=False)), "treats spaces so"),
    "a merge is missing": ("pieces", _merge_less, "it does not merge .* llama.cpp does"),
}


@pytest.mark.parametrize("name", REFUSED_TOKENIZERS)
def test_a_tokenizer_that_llama_cpp_does_not_have_is_refused_by_name(name, tmp_path):
    kind, change, why = REFUSED_TOKENIZERS[name]
    tokenizer = exported.bytes_tokenizer() if kind == "bytes" else exported.pieces_tokenizer()
    change(tokenizer)
    base = exported.base("llama", tokenizer)
    with pytest.raises(ModelError, match=why):
        exporting.model(base, None, tmp_path / "model.gguf", F32)
    assert not (tmp_path / "model.gguf").exists()


def test_letters_and_accents_that_stand_apart_are_told():
    tokenizer = exported.bytes_tokenizer("qwen2")
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    assert read(tokenizer).notes == (vocabulary.NOT_NORMAL,)


def verified(base, path: Path, folder: Path, **how):
    """Write a model, change the file where `spoil` says, and hold it against the model."""
    written = writing.model(base, path, F32, about={})
    said = verifying.said(base.model, base.chat, verifying.prompts(base.chat))
    if spoil := how.get("spoil"):
        file = gguf.GGUFReader(str(path), "r+")
        (tensor,) = [tensor for tensor in file.tensors if tensor.name == spoil]
        tensor.data[[0, 1]] = tensor.data[[1, 0]]
        file.data.flush()
    unpacked(path, folder)
    names = {name: how.get("allowed", 0.0) for name in base.model.state_dict()}
    expected = verifying.expected_of(base, names)
    return verifying.compare(
        path, written, expected, said, base.chat, unpacked=folder, is_exact=True
    )


def test_a_file_that_is_the_same_model_is_verified(tmp_path):
    found = verified(exported.base("llama"), tmp_path / "model.gguf", tmp_path / "back")
    assert (found.prompts, found.greedy_equal, found.same_tokens) == (4, 4, 4)
    assert found.worst_weight == 0
    assert found.worst_logprob < 1e-5
    assert found.allowed == verifying.ALLOWED


@pytest.mark.parametrize(("allowed", "why"), [(0.0, "k_proj.weight came back"), (2.0, "up to")])
def test_two_rows_that_were_swapped_are_seen_in_weights_and_in_answers(allowed, why, tmp_path):
    how = {"spoil": "blk.1.attn_k.weight", "allowed": allowed}
    with pytest.raises(ModelError, match=why) as caught:
        verified(exported.base("llama"), tmp_path / "model.gguf", tmp_path / "back", **how)
    assert "is not the model that it was made from" in caught.value.message


def test_there_are_some_two_hundred_nasty_texts():
    assert 200 <= len(nasty.texts()) == len(set(nasty.texts()))
