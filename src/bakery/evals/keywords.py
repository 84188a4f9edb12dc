"""Questions with known answers: how many does a model get right, judged by whole words.

What a model thinks aloud is no answer: reasoning is taken off first, also where it was never
closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bakery.engine.chat import Chat
from bakery.engine.sampling import SampleRequest, sample
from bakery.identity import SamplingSettings
from bakery.records import Prompt

SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class QuestionAnswer:
    """A question, and the strings of which any one makes an answer right."""

    question: str
    accepted: tuple[str, ...]


def score(pairs: Sequence[QuestionAnswer], responses: Sequence[str]) -> dict[str, Any]:
    """Return accuracy, counts, and each response with its verdict."""
    results = [
        {
            "question": pair.question,
            "response": answer_of(response)[:SHOWN_CHARS],
            "correct": is_correct(response, pair.accepted),
        }
        for pair, response in zip(pairs, responses, strict=True)
    ]
    correct = sum(bool(result["correct"]) for result in results)
    return {
        "accuracy": correct / len(results),
        "correct": correct,
        "total": len(results),
        "results": results,
    }


def ask(
    model: Any,
    chat: Chat,
    questions: Sequence[str],
    prompt: Prompt,
    *,
    max_new_tokens: int,
    end_ids: frozenset[int],
) -> list[str]:
    """Return the model's likeliest answer to every question behind `prompt`, in batches."""
    settings = SamplingSettings(1, max_new_tokens, temperature=0)
    requests = [
        SampleRequest(str(at), tuple(chat.prefix_ids(prompt, [{"role": "user", "content": text}])))
        for at, text in enumerate(questions)
    ]
    said: dict[str, str] = {}
    for batch in sample(model, requests, settings, end_ids=end_ids, pad_id=chat.pad_id):
        said |= {answer.key: chat.text(answer.ids) for answer in batch}
    return [_begun(chat.decoded(r.prefix_ids)) + said[r.key] for r in requests]


def _begun(prompt: str) -> str:
    """Return the mark of reasoning that a template has opened for the answer, or nothing."""
    return "<think>" if prompt.rstrip().endswith("<think>") else ""


def is_correct(response: str, accepted: Sequence[str]) -> bool:
    """Tell whether an accepted string occurs as whole words; case does not matter."""
    said = _normal(answer_of(response))
    return any(_whole(_normal(text)).search(said) for text in accepted)


def answer_of(response: str) -> str:
    """Return a response without its reasoning; reasoning that never ends leaves nothing."""
    # Without its beginning, too: who scores a file may have only what the model wrote.
    rest = response.rsplit("</think>", 1)[-1]
    return rest.split("<think>", 1)[0].strip()


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
