"""A GGUF file comes out as the model that went into it, or is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaConfig
from transformers.integrations import GGUF_CONFIG_MAPPING
from transformers.integrations.gguf import GGUF_ARCHS
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from bakery.engine.bases.gguf import header, kept, refused
from bakery.engine.models import unpacking
from bakery.errors import ModelError
from bakery.identity import file_digest
from tests.support.gguf_files import CONTROL, MERGES, NORMAL, vocabulary
from tests.support.gguf_models import KINDS, as_gguf, random_model
from tests.support.models import THINKING, byte_tokenizer
from tests.support.vocabulary import SPECIALS

TYPES: Any = gguf.GGMLQuantizationType
TEXT = "<|im_start|>user\nin the beginning, 123 times: ünter\n<|im_end|>\n"
LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "unpacked"
    made.mkdir()
    return made


def unpack(path: Path, folder: Path) -> None:
    unpacking.unpack(path, folder, file_digest(path))


def unpacked(path: Path, folder: Path):
    unpack(path, folder)
    return AutoModelForCausalLM.from_pretrained(folder, dtype="auto").eval()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_says_what_it_said_before_it_was_written_to_a_file(kind, tmp_path, folder):
    model = random_model(kind)
    found = unpacked(as_gguf(tmp_path / "model.gguf", kind, model=model), folder)
    ids = torch.arange(3, 43).reshape(2, 20)
    assert torch.equal(found(ids).logits, model(ids).logits)


def test_every_architecture_that_is_accepted_is_one_that_transformers_reads():
    assert set(refused.READ) == {kind.architecture or name for name, kind in KINDS.items()}
    known = {name.replace("_", "") for name in GGUF_CONFIG_MAPPING} | set(GGUF_ARCHS)
    assert set(refused.READ) <= known


def test_text_becomes_the_tokens_that_it_was_before(tmp_path, folder):
    unpack(as_gguf(tmp_path / "model.gguf"), folder)
    found, own = AutoTokenizer.from_pretrained(folder), byte_tokenizer(merges=MERGES)
    assert found.encode(TEXT, add_special_tokens=False) == own.encode(TEXT)
    assert found.get_vocab() == own.get_vocab()
    assert found.chat_template == own.chat_template


@pytest.mark.parametrize("way", ["smollm", "gpt-2"])
def test_blanks_before_a_digit_are_cut_as_the_file_says(way, tmp_path, folder):
    tokens = [*vocabulary(), "ĠĠ"]
    said = {
        "tokenizer.ggml.pre": way, "tokenizer.ggml.tokens": tokens, "llama.vocab_size": len(tokens),
        "tokenizer.ggml.merges": [*MERGES, "Ġ Ġ"],
        "tokenizer.ggml.token_type": [CONTROL if t in SPECIALS else NORMAL for t in tokens],
    }  # fmt: skip
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(**{**KINDS["llama"].config().to_dict(), "vocab_size": len(tokens)})
    )
    unpack(as_gguf(tmp_path / "model.gguf", model=model, **said), folder)
    found = AutoTokenizer.from_pretrained(folder)
    # GPT-2 takes the last blank along with a word, and a digit that stands alone takes none.
    expected = ["ĠĠ", "1"] if way == "smollm" else ["Ġ", "Ġ", "1"]
    assert found.tokenize("  1") == expected
    assert found.tokenize("  a") == ["Ġ", "Ġ", "a"]


def test_what_lies_beside_a_file_does_not_change_what_it_is(tmp_path, folder):
    path = as_gguf(tmp_path / "model.gguf")
    unpack(path, folder)
    (tmp_path / "beside").mkdir()
    moved, again = path.rename(tmp_path / "beside/blob"), tmp_path / "again"
    again.mkdir()
    (tmp_path / "beside/chat_template.jinja").write_text("{{ messages }}")
    (tmp_path / "beside/config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "beside/added_tokens.json").write_text('{"<|more|>": 263}')
    (tmp_path / "beside/tokenizer_config.json").write_text(
        '{"eos_token": "<|im_start|>", "model_max_length": 7, "tokenizer_class": "T5Tokenizer"}'
    )
    (tmp_path / "beside/special_tokens_map.json").write_text('{"sep_token": "<|more|>"}')
    unpack(moved, again)
    assert kept.Manifest.of(again).files == kept.Manifest.of(folder).files


@pytest.mark.parametrize("kind", ["Q4_1", "Q8_0", "Q5_0"])
def test_blocks_become_the_numbers_that_they_stand_for(kind, tmp_path, folder):
    model = random_model("qwen2")
    path = as_gguf(tmp_path / "model.gguf", "qwen2", model=model, stored=TYPES[kind])
    found = unpacked(path, folder)
    assert found.dtype == torch.float32
    name = "model.layers.1.mlp.down_proj.weight"
    blocks = gguf.quantize(model.state_dict()[name].numpy(), TYPES[kind])
    expected = torch.from_numpy(gguf.dequantize(blocks, TYPES[kind]))
    assert torch.equal(found.state_dict()[name], expected)
    assert not torch.equal(found.state_dict()[name], model.state_dict()[name])


def test_a_file_of_bfloat16_stays_one(tmp_path, folder):
    model = random_model("llama").to(torch.bfloat16)
    path = as_gguf(tmp_path / "model.gguf", model=model, stored=TYPES.BF16)
    found = unpacked(path, folder)
    assert found.dtype == torch.bfloat16
    weight = "model.embed_tokens.weight"
    assert torch.equal(found.state_dict()[weight], model.state_dict()[weight])


def test_a_file_of_float16_is_unpacked_to_float32_which_a_cpu_can_train_on(tmp_path, folder):
    path = as_gguf(tmp_path / "model.gguf", stored=TYPES.F16)
    assert header.read(path).dtype == "float32"
    assert unpacked(path, folder).dtype == torch.float32


def test_the_manifest_names_every_file_and_how_it_was_made(tmp_path, folder):
    path = as_gguf(tmp_path / "model.gguf", stored=TYPES.Q4_1)
    unpack(path, folder)
    said = json.loads((folder / kept.MANIFEST).read_text())
    assert said["source"] == file_digest(path)
    assert set(said["files"]) == {file.name for file in folder.iterdir()} - {kept.MANIFEST}
    assert said["made"]["from"] == "Q4_1, F32"
    assert said["made"]["to"] == "float32"
    assert "gguf 0." in said["made"]["by"]


@pytest.mark.parametrize(
    ("said", "ends"),
    [
        ({}, 2),
        # The file names the end of a text, and the template ends a turn with another token.
        ({"tokenizer.ggml.eos_token_id": 0}, [0, 2]),
        ({"tokenizer.ggml.eos_token_id": None}, 2),
        ({"tokenizer.ggml.eos_token_id": 0, "tokenizer.ggml.eot_token_id": 1}, [0, 1, 2]),
        ({"tokenizer.chat_template": THINKING}, 2),
        # A template that wants other messages says nothing of it.
        ({"tokenizer.chat_template": "{{ raise_exception('no') }}"}, 2),
    ],
)
def test_what_ends_a_turn_is_what_the_file_and_its_template_say(said, ends, tmp_path, folder):
    unpack(as_gguf(tmp_path / "model.gguf", **said), folder)
    assert GenerationConfig.from_pretrained(folder).eos_token_id == ends


def test_a_file_that_is_not_the_one_of_its_digest_is_refused(tmp_path, folder):
    with pytest.raises(ModelError, match="is not the file with the digest 0000000000000000"):
        unpacking.unpack(as_gguf(tmp_path / "model.gguf"), folder, "0" * 64)
    assert list(folder.iterdir()) == []


def test_a_model_that_never_ends_a_turn_is_refused(tmp_path, folder):
    said = {
        "tokenizer.ggml.eos_token_id": None,
        "tokenizer.chat_template": "{% for m in messages %}{{ m['content'] }}\n{% endfor %}",
    }
    with pytest.raises(ModelError, match="names no token that ends a turn"):
        unpack(as_gguf(tmp_path / "model.gguf", **said), folder)


def llama_3(**changes: float):
    """Return a small model of that family, and the factors that its file holds."""
    rope = {**LLAMA_3, **changes}
    sizes = {**KINDS["llama"].config().to_dict(), "head_dim": 64, "rope_parameters": rope}
    model = AutoModelForCausalLM.from_config(LlamaConfig(**sizes), dtype=torch.float32).eval()
    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](model.config, device=torch.device("cpu"))
    plain = 1.0 / 500000.0 ** (torch.arange(32) / 32)
    return model, (plain / stretched).numpy()


def llama_3_file(path: Path, model, factors) -> Path:
    said = {"llama.rope.freq_base": 500000.0, "llama.rope.dimension_count": 64}
    return as_gguf(path, model=model, more={refused.FACTORS: factors}, **said)


def test_a_llama_3_keeps_how_it_stretches_its_positions(tmp_path, folder):
    model, factors = llama_3()
    found = unpacked(llama_3_file(tmp_path / "model.gguf", model, factors), folder)
    assert found.config.rope_parameters == model.config.rope_parameters
    ids = torch.arange(3, 203).reshape(1, 200)
    assert torch.equal(found(ids).logits, model(ids).logits)


@pytest.mark.parametrize("factors", [llama_3(high_freq_factor=2.0)[1], np.ones(31, np.float32)])
def test_positions_stretched_in_another_way_are_refused(factors, tmp_path, folder):
    path = llama_3_file(tmp_path / "model.gguf", llama_3()[0], factors)
    with pytest.raises(ModelError, match="otherwise than a Llama 3 does"):
        unpack(path, folder)


@pytest.mark.parametrize(
    ("kind", "said", "told"),
    [
        ("llama", {"llama.rope.dimension_count": 4}, "cannot read"),
        ("stablelm", {"stablelm.rope.dimension_count": 8}, "rope.dimension_count 8"),
        ("qwen3", {"qwen3.attention.key_length": 64}, "cannot read"),
        ("gemma2", {"gemma2.final_logit_softcapping": 5.0}, "final_logit_softcapping 5.0"),
        ("gpt2", {"gpt2.context_length": 256}, "context_length 256"),
        ("llama", {"llama.attention.head_count": 3}, "cannot read"),
        ("llama", {"llama.embedding_length": None}, "cannot read"),
        ("llama", {"tokenizer.ggml.merges": None}, "cannot read"),
        ("llama", {"llama.block_count": 3}, "lacks"),
        ("llama", {"llama.block_count": 1}, "holds .* weights, and the model"),
    ],
)
def test_a_file_that_would_be_read_as_another_model_is_refused(kind, said, told, tmp_path, folder):
    path = as_gguf(tmp_path / "model.gguf", kind, **said)
    with pytest.raises(ModelError, match=told) as caught:
        unpack(path, folder)
    assert caught.value.hint == refused.SAFETENSORS


def test_weights_that_no_layer_takes_are_refused(tmp_path, folder):
    more = {"blk.0.attn_q.bias": np.ones(32, np.float32)}
    with pytest.raises(ModelError, match=r"holds .* weights, and the model"):
        unpack(as_gguf(tmp_path / "model.gguf", more=more), folder)


def test_words_that_are_cut_in_an_unknown_way_are_noted(tmp_path, folder):
    path = as_gguf(tmp_path / "model.gguf", **{"tokenizer.ggml.pre": "chameleon"})
    unpack(path, folder)
    (note,) = json.loads((folder / kept.MANIFEST).read_text())["notes"]
    assert "cuts text into words in a way, chameleon, that" in note
