"""A real llama.cpp reads what is exported: the same tokens of nasty texts, and the same answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType as Kind

from bakery.engine.bases import bases
from bakery.engine.export.gguf import storage, verifying, writing
from bakery.engine.models import adapters, models
from bakery.engine.models.models import BaseModel
from bakery.records import Prompt
from tests.support import disagreeing, exported, nasty
from tests.support.llama_cpp import Llama, llama, skip_without
from tools.real_model import UnreachableError, fetch

pytestmark = pytest.mark.slow

F32 = storage.of("f32")
ALLOWED = 1e-3
"""In nats, for the likeliest twenty at every place, with weights and cache in fp32."""
OF_GEMMA = 5e-3
"""llama.cpp looks its activation up in a table of half precision."""
QUESTIONS = (
    "Who are you?", "What is the sea?", "Tell me a joke.", "What is 12 + 30?", "Why is rain wet?",
    "Write a poem.", "Where is Paris?", "What is bread?", "Name three colours.", "Say nothing.",
    "How are you?", "What is a cat?", "Is it cold?", "Who wrote Faust?", "Count to five.",
    "What is 7 * 8?", "Is water wet?", "Why?", "Translate: Guten Morgen.", "What is love?",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _there() -> None:
    skip_without()


def asked(base: BaseModel) -> list[list[int]]:
    return [
        base.chat.prefix_ids(Prompt(), [{"role": "user", "content": question}])
        for question in QUESTIONS
    ]


def compared(server: Llama, model: Any, prompts: Sequence[Sequence[int]]) -> tuple[int, float]:
    """Return to how many prompts the greedy answer is ours, and by how much the worst is off."""
    equal, worst = 0, 0.0
    for prompt in prompts:
        said = server.says(prompt)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *said.ids]])).logits[0, len(prompt) - 1 : -1]
        own = logits.float().log_softmax(-1)
        equal += own.argmax(-1).tolist() == said.ids
        assert len(said.top) == len(said.ids)
        for at, top in enumerate(said.top):
            worst = max(worst, *(abs(float(own[at, i]) - value) for i, value in top.items()))
    return equal, worst


def differing(base: BaseModel, file: Path, texts: Sequence[str]) -> list[str]:
    """Return the texts of which llama.cpp makes other tokens."""
    own = base.chat.tokenizer
    with llama(file) as server:
        return [
            text
            for text in texts
            if server.tokens(text) != own(text, add_special_tokens=False)["input_ids"]
        ]


@pytest.mark.parametrize("way", exported.WAYS)
def test_a_way_to_cut_text_is_the_one_of_that_name(way, tmp_path):
    base = exported.base("llama", exported.bytes_tokenizer(way))
    writing.model(base, tmp_path / "model.gguf", F32, about={})
    assert differing(base, tmp_path / "model.gguf", nasty.texts()) == []


@pytest.mark.parametrize("spaces", [name for name in exported.PIECES if "first" not in name])
def test_pieces_are_merged_in_the_same_order(spaces, tmp_path):
    base = exported.base("llama", exported.pieces_tokenizer(spaces))
    writing.model(base, tmp_path / "model.gguf", F32, about={})
    assert differing(base, tmp_path / "model.gguf", nasty.texts()) == []


def test_conversations_are_the_same_where_only_a_text_s_start_has_a_space(tmp_path):
    base = exported.base("llama", exported.pieces_tokenizer("metaspace first"))
    writing.model(base, tmp_path / "model.gguf", F32, about={})
    talks = [base.chat.asked([{"role": "user", "content": text}]) for text in nasty.texts()]
    assert differing(base, tmp_path / "model.gguf", talks) == []


@pytest.mark.parametrize("kind", exported.MODELS)
def test_a_base_its_lora_and_their_sum_say_the_same(kind, tmp_path):
    base = exported.base(kind)
    allowed = OF_GEMMA if kind.startswith("gemma") else ALLOWED
    _held(base, tmp_path, allowed=allowed)


def test_tiny_says_the_same_in_llama_cpp(tmp_path):
    base = models.load(bases.identify("tiny"), dtype="float32")
    _held(base, tmp_path, allowed=ALLOWED, strong=0.3)


def test_the_real_model_says_the_same_in_llama_cpp(tmp_path, capsys, cached):
    file = _real()
    base = models.load(bases.identify(str(file)), dtype="float32")
    _held(base, tmp_path, allowed=ALLOWED, strong=0.02)
    assert differing(base, tmp_path / "merged.gguf", nasty.texts()) == []
    assert differing(base, file, nasty.texts()) == []  # as it came, whoever wrote it


def _held(base: BaseModel, folder: Path, *, allowed: float, strong: float = 0.3) -> None:
    """Hold base, base with a LoRA, and their sum against our own answers; print what was found."""
    prompts = asked(base)
    lora = disagreeing.adapter(folder / "adapter", base, [("b" * 16, 8)], strong=strong)
    before = verifying.said(base.model, base.chat, prompts)
    writing.model(base, folder / "base.gguf", F32, about={})
    writing.adapter(base, lora, folder / "lora.gguf", Kind.F32, about={})
    adapted = adapters.attach_parent(base.model, lora)
    after = verifying.said(adapted, base.chat, prompts)
    assert sum(one.ids != other.ids for one, other in zip(before, after, strict=True)) > 3
    with llama(folder / "base.gguf", folder / "lora.gguf") as server:
        _check("base + LoRA, f32", compared(server, adapted, prompts), allowed)
    adapted.merge_and_unload(safe_merge=True)
    for name, file in (("f32", "merged.gguf"), ("q8_0", "merged.q8_0.gguf")):
        writing.model(base, folder / file, storage.of(name), about={})
        with llama(folder / file) as server:
            found = compared(server, base.model, prompts)
        _check(f"merged, {name}", found, allowed if name == "f32" else None)


def _check(what: str, found: tuple[int, float], allowed: float | None) -> None:
    equal, worst = found
    print(f"{what}: greedy {equal} of {len(QUESTIONS)}, worst {worst:.2g} nats")  # noqa: T201
    if allowed is not None:
        assert equal == len(QUESTIONS)
        assert worst < allowed


@pytest.fixture
def cached(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what is unpacked kept for all tests of a session."""
    folder = str(tmp_path_factory.getbasetemp() / "real-cache")
    monkeypatch.setenv("BAKERY_CACHE", folder)


def _real() -> Path:
    try:
        return fetch()
    except UnreachableError as error:
        pytest.skip(str(error))
