"""What llama.cpp calls the way a tokenizer cuts text, told from how the tokenizer is built.

llama.cpp knows such ways by names alone, and a wrong name gives other tokens without a word. So a
tokenizer has to be built exactly as one of those in the table, each of which was compared with the
real llama.cpp on some two hundred nasty texts (`make test-llama`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bakery.engine.export.gguf.architectures import CONVERTER
from bakery.errors import ModelError

_DIGITS = "digits one by one"
_BYTES = "bytes"
_GPT2 = "bytes, cut as GPT-2 does"

_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

QWEN2 = rf"{_ENDINGS}|{_LETTERS}|\p{{N}}|{_SIGNS}|{_SPACES}"
LLAMA3 = rf"{_ENDINGS}|{_LETTERS}|\p{{N}}{{1,3}}|{_SIGNS}|{_SPACES}"


@dataclass(frozen=True, slots=True)
class Way:
    """A way to cut text: the steps of a pre-tokenizer, and whether whole words go before merges."""

    steps: tuple[str, ...]
    words_first: bool = False


NAMES: Mapping[Way, str] = {
    Way((_GPT2,)): "gpt-2",
    Way((_DIGITS, _GPT2)): "smollm",
    Way((f"split {QWEN2}", _BYTES)): "qwen2",
    Way((f"split {LLAMA3}", _BYTES), words_first=True): "llama-bpe",
    Way((f"split {LLAMA3}", _BYTES)): "smaug-bpe",
}
"""Of vocabularies of bytes. Several names stand for one way; each way is here once.

Not here: tekken and gpt-4o, whose words llama.cpp ends before accents that stand apart, and so cuts
Hindi, Thai and Tamil otherwise than their tokenizers do."""


def name(tokenizer: Mapping[str, Any]) -> str:
    """Return what llama.cpp calls the way of a tokenizer of bytes; ModelError: it knows none."""
    way = way_of(tokenizer)
    found = NAMES.get(way)
    if found is None:
        steps = "; ".join(way.steps) or "not at all"
        words = ", whole words before merges" if way.words_first else ""
        raise ModelError(
            "llama.cpp is not known to cut text as this model's tokenizer does "
            f"(pre-tokenizer: {steps}{words}), and another way would give it other tokens",
            hint=CONVERTER,
        )
    return found


def way_of(tokenizer: Mapping[str, Any]) -> Way:
    """Return how a tokenizer cuts text; `tokenizer` is what its tokenizer.json holds."""
    steps = tuple(_step(step) for step in flat(tokenizer.get("pre_tokenizer"), "pretokenizers"))
    return Way(steps, bool(tokenizer["model"].get("ignore_merges")))


def flat(part: Mapping[str, Any] | None, members: str) -> list[Mapping[str, Any]]:
    """Return the steps of a part of a tokenizer, which may hold one another."""
    if part is None:
        return []
    if part["type"] != "Sequence":
        return [part]
    return [step for member in part[members] for step in flat(member, members)]


def _step(step: Mapping[str, Any]) -> str:
    match step:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return _GPT2
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
            return _BYTES
        case {"type": "Digits", "individual_digits": True}:
            return _DIGITS
        case {"type": "Split", "pattern": {"Regex": str(pattern)}, "invert": False}:
            if str(step.get("behavior")).lower() == "isolated":
                return f"split {pattern}"
    return json.dumps(step, ensure_ascii=False, sort_keys=True)
