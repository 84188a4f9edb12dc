"""A GGUF file is read without trusting it, and what cannot be a base is refused by name."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from bakery.engine.bases.gguf import header, refused
from bakery.errors import ModelError
from tests.support.gguf_files import metadata, write

HUGE = (1 << 63) - 1
TENSOR = "token_embd.weight"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "small.gguf"


def start(tensors: int = 1, entries: int = 1, version: int = 3) -> bytes:
    return struct.pack("<4sIQQ", b"GGUF", version, tensors, entries)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def refusal(path: Path) -> ModelError | None:
    try:
        refused.check(header.read(path))
    except ModelError as error:
        return error
    return None


def test_a_header_says_what_is_in_the_file(path):
    tensors = {TENSOR: np.ones((4, 32), np.float32), "output_norm.weight": np.ones(8, np.float32)}
    found = header.read(write(path, tensors=tensors, kind=gguf.GGMLQuantizationType.Q4_1))
    assert found.architecture == "llama"
    assert found.of_model("context_length") == 512
    assert found.metadata["tokenizer.ggml.add_bos_token"] is False
    assert found.arrays["tokenizer.ggml.tokens"] == 263
    assert found.weights == 136
    assert found.stored == "Q4_1, F32"
    assert found.is_quantised
    assert found.dtype == "float32"
    assert found.floats("output_norm.weight") == (1.0,) * 8


def test_blocks_take_the_room_that_the_format_says():
    known = {int(kind): (kind.name, *size) for kind, size in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: known[kind] for kind in header.TYPES} == header.TYPES


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"Once upon a time", "it begins with b'Once upon a '"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:b179\nsize 75\n",
            "is a git-lfs pointer",
        ),
        (b"PK\x03\x04" + b"\0" * 64, "has to be a GGUF file"),
        (start(version=1), "is GGUF version 1; versions 2 and 3"),
        (start(version=4), "is GGUF version 4; versions 2 and 3"),
        (start(version=3 << 24), "the other byte order"),
        (b"GGUF", "is GGUF version 0"),
        (start(), "is not complete: it ends within its own description"),
        # Numbers that are lies.
        (start(entries=HUGE), f"claims to have {HUGE} entries of metadata"),
        (start(tensors=HUGE), f"claims to have {HUGE} tensors"),
        (start() + struct.pack("<Q", HUGE), "is not complete"),
        (start() + text("k") + struct.pack("<I", 99), "has metadata of type 99"),
        (start() + text("k") + struct.pack("<IIQ", 9, 8, HUGE), f"lists of {HUGE} items"),
        (start() + text("k") + struct.pack("<IIQ", 9, 4, 1 << 20), "is not complete"),
        (start() + text("k") + struct.pack("<IIQ", 9, 9, 1), "has metadata of type 9"),
        (start(entries=0) + text("t") + struct.pack("<I", 1 << 31), "dimensions"),
        (
            start(entries=0) + text("t") + struct.pack("<IQIQ", 1, 1, 77, 0),
            "as GGML type 77, which is not supported",
        ),
        (
            start(entries=0) + text("t") + struct.pack("<IQQQIQ", 3, HUGE, HUGE, HUGE, 0, 0),
            "is not complete",
        ),
        (
            start(tensors=0) + text("general.alignment") + struct.pack("<II", 4, 0),
            "its alignment is 0",
        ),
    ],
)
def test_what_is_no_whole_gguf_file_is_refused_by_what_it_is(content, told, path):
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        header.read(path)
    assert told in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_a_file_that_was_cut_anywhere_is_not_complete(path):
    whole = write(path).read_bytes()
    for length in [*range(8, len(whole) - 1, 97), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError, match="is not complete"):
            header.read(path)


def test_a_file_with_any_damage_is_read_or_refused(path):
    whole, chance = write(path).read_bytes(), random.Random(13)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 4))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        told = refusal(path)
        assert told is None or told.hint


def test_a_long_text_is_cut(path):
    found = header.read(write(path, metadata(**{"general.name": "x" * (header.TEXT_MAX + 9)})))
    assert len(str(found.metadata["general.name"])) == header.TEXT_MAX


def test_one_file_of_several_is_refused(tmp_path):
    named = write(tmp_path / "small-00001-of-00003.gguf")
    told = write(tmp_path / "small.gguf", metadata(**{"split.count": 3}))
    for part in (named, told):
        with pytest.raises(ModelError, match="one of several files of a split model") as caught:
            header.read(part)
        assert "llama-gguf-split --merge" in str(caught.value.hint)


def test_a_chat_model_is_accepted(path):
    refused.check(header.read(write(path)))


@pytest.mark.parametrize(
    ("architecture", "changes", "told"),
    [
        ("llama", {"general.type": "adapter"}, "is an adapter, not a model"),
        ("clip", {"general.type": "mmproj"}, "is the eyes of a model"),
        ("clip", {}, r"is a vision model \(clip\)"),
        ("qwen2vl", {}, r"is a vision model \(qwen2vl\)"),
        ("bert", {}, r"is an encoder \(bert\)"),
        ("t5", {}, r"is an encoder \(t5\)"),
        ("qwen3", {"qwen3.pooling_type": 3}, r"is an encoder \(qwen3\)"),
        ("llama", {"llama.attention.causal": False}, r"is an encoder \(llama\)"),
        ("rwkv6", {}, "has the architecture 'rwkv6', which is not read from GGUF"),
        ("llama", {"llama.expert_count": 8}, "is a mixture of experts of the architecture 'llama'"),
        ("llama", {"tokenizer.chat_template": None}, "has no chat template"),
        ("llama", {"tokenizer.chat_template": " "}, "has no chat template"),
        ("llama", {"tokenizer.ggml.model": "rwkv"}, "a tokenizer of the kind 'rwkv'"),
        ("llama", {"tokenizer.ggml.tokens": None}, "a tokenizer of the kind 'gpt2'"),
        ("llama", {"llama.rope.scaling.type": "yarn"}, "rope.scaling.type yarn"),
        ("llama", {"llama.rope.scaling.factor": 4.0}, "rope.scaling.factor 4.0"),
        ("gemma2", {"gemma2.block_count": 46}, "a gemma2 with 46 layers is scaled"),
    ],
)
def test_what_cannot_be_a_base_is_refused_by_name(
    architecture: str, changes: dict[str, Any], told: str, path: Path
) -> None:
    said = metadata(architecture, **changes)
    with pytest.raises(ModelError, match=told) as caught:
        refused.check(header.read(write(path, said, architecture=architecture)))
    assert caught.value.message.startswith("small.gguf")
    assert caught.value.hint


def test_a_vocabulary_is_no_model(path):
    with pytest.raises(ModelError, match="holds no weights, only a vocabulary"):
        refused.check(header.read(write(path, tensors={})))


def test_positions_that_the_reader_leaves_out_are_refused_but_in_a_llama(path):
    tensors = {TENSOR: np.ones((4, 32), np.float32), refused.FACTORS: np.ones(4, np.float32)}
    refused.check(header.read(write(path, tensors=tensors)))
    with pytest.raises(ModelError, match=refused.FACTORS):
        refused.check(header.read(write(path, tensors=tensors, architecture="qwen2")))
