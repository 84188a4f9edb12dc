"""What was loaded, against what was meant: no weight made up, left over, or no number.

transformers goes on in all these cases, with a warning at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bakery.engine.bases import folders, weights
from bakery.engine.text import ends
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError

_SHOWN = 3


def check(name: str, model: PreTrainedModel, report: Mapping[str, Any]) -> None:
    """Refuse a model that is not what its files hold; `report` is transformers' own."""
    if missing := sorted(report["missing_keys"]):
        raise weights.lacking(name, missing)
    if differing := sorted(report["mismatched_keys"]):
        raise weights.differing(name, *differing[0])
    # A quantised model's files hold scales and tables that are no weights of a layer.
    if (left := sorted(report["unexpected_keys"])) and not getattr(model, "is_quantized", False):
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        raise ModelError(
            f"{name} has weights that no layer takes: {', '.join(left[:_SHOWN])}{more}",
            hint="Its config.json describes another model, or a smaller one: fetch it again, or "
            "take these weights out of its files.",
        )
    check_finite(name, model)


def check_finite(name: str, model: PreTrainedModel) -> None:
    """Refuse a model with a weight that is no number; reads each of them once."""
    with torch.no_grad():
        for key, tensor in model.named_parameters():
            if tensor.is_meta or not tensor.is_floating_point() or tensor.itemsize < 2:
                continue
            # Ten times as quick as asking each; the sum of finite numbers may be too large.
            if not torch.isfinite(tensor.sum()) and not torch.isfinite(tensor).all():
                raise weights.not_finite(name, key)


def check_tokens(name: str, tokenizer: PreTrainedTokenizerBase, rows: int) -> None:
    """Refuse a tokenizer with tokens that a model with so many embeddings does not know."""
    added = tokenizer.added_tokens_decoder
    if max(len(tokenizer), max(added, default=-1) + 1) > rows:
        texts = {number: text for text, number in tokenizer.get_vocab().items()}
        folders.refuse_beyond(name, iter(sorted(texts.items())), rows)


def unnamed_end(chat: Chat) -> str | None:
    """Return a sentence where the template ends turns with what nothing names as an end."""
    tokenizer = chat.tokenizer
    tokens = {str(token) for token in tokenizer.added_tokens_decoder.values()}
    named = tokenizer.convert_ids_to_tokens(sorted(chat.end_ids))
    return ends.unnamed(chat.rendered, tokens, [str(text) for text in named])
