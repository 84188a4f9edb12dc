"""A tokenizer as a GGUF file has it: tokens with their kinds, merges or scores, and special ids.

What is read is the tokenizer as it is loaded, which is not always what its tokenizer.json says. It
either works on bytes and names its merges, or it is one of SentencePiece, where llama.cpp merges by
the score of what comes out: the scores are made from the merges, if these can be told so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gguf import TokenType
from transformers import PreTrainedTokenizerBase

from bakery.engine.export.gguf import pre_tokenizer
from bakery.engine.export.gguf.architectures import CONVERTER
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError

BYTES, PIECES = "gpt2", "llama"
"""What the format calls a vocabulary of bytes, and one of SentencePiece."""
_SPACE = "▁"
_QUESTION = "§bakery§"

NOT_NORMAL = (
    "llama.cpp does not compose letters and their accents (NFC) as the tokenizer does: texts that "
    "have them apart get other tokens there"
)
FIRST_SPACE = (
    "the tokenizer puts a space before a text that begins without a special token, and llama.cpp "
    "does not: conversations are the same, as they begin with one"
)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a file says of a tokenizer: entries of its metadata, without `tokenizer.ggml.`."""

    said: Mapping[str, Any]
    notes: tuple[str, ...]
    """What a person has to know of it."""


def read(chat: Chat, *, rows: int) -> Vocabulary:
    """Return what a file says of a chat's tokenizer; `rows`: how many tokens the model embeds.

    ModelError where llama.cpp would make other tokens of the same text.
    """
    tokenizer = chat.tokenizer
    if not tokenizer.is_fast:
        raise _unknown("it has no tokenizer.json")
    found = json.loads(tokenizer.backend_tokenizer.to_str())
    model, added = found["model"], found.get("added_tokens") or []
    _refuse_odd(model, added)
    begins = _begins(chat)
    if model.get("byte_fallback"):
        own, notes = _pieces(found, begins=begins)
        tokens = _tokens(model["vocab"], added, rows, pieces=True)
        own |= {"scores": _scores(model, [text for text, _ in tokens])}
    else:
        own, notes = _bytes(found)
        tokens = _tokens(model["vocab"], added, rows)
    said = {
        **own,
        "tokens": [text for text, _ in tokens],
        "token_type": [int(kind) for _, kind in tokens],
        **_special(tokenizer, chat),
        # Conversations are rendered with the token where they begin with one, so llama.cpp, which
        # leaves out a second, may add it; it must not where they have none.
        "add_bos_token": begins is not None and begins == tokenizer.bos_token_id,
        "add_eos_token": False,
    }
    return Vocabulary(said, tuple(notes))


def _bytes(found: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return how a tokenizer of bytes cuts and merges."""
    normalizers = pre_tokenizer.flat(found.get("normalizer"), "normalizers")
    for step in normalizers:
        if step["type"] != "NFC":
            raise _unknown(f"its normalizer is {json.dumps(step, ensure_ascii=False)}")
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in
              found["model"]["merges"]]  # fmt: skip
    own = {"model": BYTES, "pre": pre_tokenizer.name(found), "merges": merges}
    return own, [NOT_NORMAL] if normalizers else []


def _pieces(found: Mapping[str, Any], *, begins: int | None) -> tuple[dict[str, Any], list[str]]:
    """Return how a tokenizer of SentencePiece treats spaces; `begins`: as conversations do."""
    steps = [
        *pre_tokenizer.flat(found.get("normalizer"), "normalizers"),
        *pre_tokenizer.flat(found.get("pre_tokenizer"), "pretokenizers"),
    ]
    kinds = tuple(_space(step) for step in steps)
    kinds = tuple(kind for kind in kinds if kind)
    if kinds == ("in front", "spelled"):
        return {"model": PIECES, "pre": "default", "add_space_prefix": True}, []
    if kinds in (("spelled",), ("metaspace never",)):
        return {"model": PIECES, "pre": "default", "add_space_prefix": False}, []
    if kinds == ("metaspace first",) and begins is not None:
        return {"model": PIECES, "pre": "default", "add_space_prefix": False}, [FIRST_SPACE]
    raise _unknown(f"it treats spaces so: {json.dumps(steps, ensure_ascii=False)}")


def _space(step: Mapping[str, Any]) -> str:
    """Return what a step does with spaces; "": nothing, as none is left by then."""
    match step:
        case {"type": "Prepend", "prepend": "▁"}:
            return "in front"
        case {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}:
            return "spelled"
        case {"type": "Metaspace", "replacement": "▁", "split": False}:
            return f"metaspace {step['prepend_scheme']}"
        case {"type": "Split", "pattern": {"String": " "}}:
            return ""
    return json.dumps(step, ensure_ascii=False)


def _tokens(
    vocab: Mapping[str, int],
    added: Sequence[Mapping[str, Any]],
    rows: int,
    *,
    pieces: bool = False,
) -> list[tuple[str, TokenType]]:
    """Return text and kind of every token, in the order of their ids, one for each row."""
    found: dict[int, tuple[str, TokenType]] = {}
    for text, number in vocab.items():
        is_byte = pieces and len(text) == 6 and text.startswith("<0x") and text.endswith(">")
        found[number] = text, TokenType.BYTE if is_byte else TokenType.NORMAL
    for token in added:
        text = token["content"]
        if token["special"]:
            is_unknown = pieces and text == "<unk>"
            found[token["id"]] = text, TokenType.UNKNOWN if is_unknown else TokenType.CONTROL
        else:  # llama.cpp looks for it in text as it is written, before spaces are spelled
            is_spelled = pieces and token["normalized"]
            text = text.replace(_SPACE, " ") if is_spelled else text
            found[token["id"]] = text, TokenType.USER_DEFINED
    # Embeddings that no token has round the number of rows up.
    return [found.get(number, (f"[PAD{number}]", TokenType.UNUSED)) for number in range(rows)]


def _scores(model: Mapping[str, Any], tokens: Sequence[str]) -> list[float]:
    """Return the scores by which merges of pieces come in the order that the tokenizer has.

    The sooner a token is merged the higher its score. That says the same where all merges into one
    token follow each other, and every pair that could be merged is.
    """
    vocab, pairs = model["vocab"], set()
    order: dict[str, int] = {}
    last = None
    for merge in model["merges"]:
        left, right = merge if isinstance(merge, list) else merge.split(" ")
        whole = left + right
        if whole != last and whole in order:
            raise _unknown(f"its merges into {whole!r} do not follow each other")
        order.setdefault(whole, len(order))
        pairs.add((left, right))
        last = whole
    for token in order:
        for at in range(1, len(token)):
            pair = token[:at], token[at:]
            if pair[0] in vocab and pair[1] in vocab and pair not in pairs:
                raise _unknown(f"it does not merge {pair[0]!r} and {pair[1]!r}, and llama.cpp does")
    return [-float(order.get(text, len(order) + at)) for at, text in enumerate(tokens)]


def _refuse_odd(model: Mapping[str, Any], added: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what llama.cpp has no way to do."""
    if model["type"] != "BPE":
        raise _unknown(f"it is a {model['type']}")
    if not model["merges"]:
        raise _unknown("it has no merges, and a file has to")
    for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(key):
            raise _unknown(f"it has a {key}")
    for token in added:
        for key in ("lstrip", "rstrip", "single_word"):
            if token[key]:
                raise _unknown(f"its token {token['content']!r} takes what lies beside it ({key})")


def _unknown(why: str) -> ModelError:
    return ModelError(
        f"llama.cpp is not known to make the same tokens as this model's tokenizer: {why}",
        hint=CONVERTER,
    )


def _special(tokenizer: PreTrainedTokenizerBase, chat: Chat) -> dict[str, int]:
    """Return the ids of tokens that have a part to play."""
    ends = sorted(chat.end_ids)
    own = tokenizer.eos_token_id if tokenizer.eos_token_id in ends else ends[0]
    turn = next((i for i in turn_ends(chat) if i in ends), own)
    more = [i for i in ends if i not in (own, turn)]
    named = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": own,
        "eot_token_id": turn if turn != own else None,
        "eom_token_id": more[0] if more else None,
        "unknown_token_id": tokenizer.unk_token_id,
        "padding_token_id": tokenizer.pad_token_id,
    }
    return {key: int(number) for key, number in named.items() if number is not None}


def turn_ends(chat: Chat) -> list[int]:
    """Return the ids that the template puts behind an answer."""
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _QUESTION}]
    behind = chat.rendered(said).partition(_QUESTION)[2]
    return list(chat.tokenizer.encode(behind, add_special_tokens=False))


def _begins(chat: Chat) -> int | None:
    """Return the special token that a conversation begins with; None: it begins with none."""
    text = chat.asked([{"role": "user", "content": "?"}])
    first = chat.tokenizer.encode(text, add_special_tokens=False)[0]
    known = chat.tokenizer.added_tokens_decoder
    return first if first in known and known[first].special else None
