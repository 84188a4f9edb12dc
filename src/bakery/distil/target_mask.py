"""The library's view of targets: token ids with a mask over those that the loss scores.

The same rules as in training: a target is a turn's own text, and an assistant's end of turn.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import torch
from transformers import PreTrainedTokenizerBase

from bakery.engine.text import patterns
from bakery.engine.text.chat import Chat
from bakery.engine.text.spans import target_view
from bakery.records import Message


def build_target_mask(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    target_roles: Collection[str],
    content_pattern: str | None = None,
    target_min_msg_idx: int = 0,
    end_ids: Collection[int] = (),
) -> tuple[list[int], torch.Tensor, int]:
    """Return a conversation's ids, a bool mask over its targets, and where the first one is.

    Turns before `target_min_msg_idx` are not targets. Without any target the last is -1. `end_ids`
    are the tokens that end the model's turns (its generation_config's eos_token_id), where the
    tokenizer's eos_token is not the only one.
    """
    chat = Chat(tokenizer, sorted({tokenizer.eos_token_id, *end_ids}))
    pattern = re.compile(content_pattern, re.MULTILINE) if content_pattern else None
    chosen = {
        index: None
        for index, message in enumerate(messages)
        if index >= target_min_msg_idx
        and message["role"] in target_roles
        and (str(message.get("content") or "").strip() or message.get("tool_calls"))
        and (pattern is None or _is_in(pattern, str(message.get("content") or "")))
    }
    view = target_view(chat, messages, (), chosen)
    mask = torch.zeros(len(view.ids), dtype=torch.bool)
    for start, stop in view.spans:
        mask[start:stop] = True
    return list(view.ids), mask, min((start for start, _ in view.spans), default=-1)


def _is_in(pattern: re.Pattern[str], text: str) -> bool:
    return bool(patterns.spans(pattern, text, name="content_pattern"))
