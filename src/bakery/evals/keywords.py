"""Questions with known answers: how many does a model get right, judged by whole words.

What a model thinks aloud is no answer: reasoning is taken off first, also where it was never
closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def is_correct(response: str, accepted: Sequence[str]) -> bool:
    """Tell whether an accepted string occurs as whole words; case does not matter."""
    said = _normal(answer_of(response))
    return any(_whole(_normal(text)).search(said) for text in accepted)


def answer_of(response: str) -> str:
    """Return a response without its reasoning; reasoning that never ends leaves nothing."""
    # A template may open the block itself: then only its end is in the response.
    rest = response.rsplit("</think>", 1)[-1]
    return rest.split("<think>", 1)[0].strip()


def _whole(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _normal(text: str) -> str:
    return " ".join(text.casefold().split())
