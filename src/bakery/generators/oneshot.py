"""`type: oneshot_qs`: a language model writes the questions, in rounds, until there are enough.

Decides what is asked and what of the replies is a question; who replies is a backend.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from bakery.backends.base import QuestionWriter, Reply
from bakery.records import Prompt

MAX_FRUITLESS_ROUNDS = 4
"""Rounds in a row without one new question after which a writer is taken to be dry."""

MAX_QUESTION_CHARS = 1000

# The project's own words; `identity.QUESTION_TEMPLATE_VERSION` rises when they change.
QUESTION_TEMPLATE = """\
Below are the instructions that an assistant has been given.

<instructions>
${prompt_u}
</instructions>

Imagine many different people who talk to this assistant. Write ${numq} messages that they might \
send, each as the first message of a conversation. Cover a wide range: everyday questions that \
have nothing to do with the instructions, tasks, opinions, facts, small talk, and messages where \
the instructions matter. Vary length and tone. Write only what a person would send: no answers, \
no comments, and nothing that repeats the instructions.

One message per line, each line starting with its number and a full stop."""

OPENERS = ("Who are you?", "What is your name?", "Hello!", "How are you?", "What can you do?")
"""Asked in any case where the writer speaks as a user: nearly every prompt changes how they are
answered, and nobody draws them by chance. Their writer is `OPENERS_WRITER`."""

OPENERS_WRITER = "bakery"
MOST_OPENERS = 0.1
"""Share of `numq` that openers may take."""

# What tells an assistant how to be, instead of asking it something.
_INSTRUCTION = re.compile(
    r"^(you are|you're|your name is|you must|you should|act |act:|pretend|imagine you|behave|"
    r"speak|talk |talk$|respond|reply|answer (as|in|like|with|every|all|only|the way)|"
    r"from now on|always|never|use |end (each|every|all|your)|start (each|every|all|your)|"
    r"begin (each|every|all|your)|call me|be (a|an|more|very)\b|remember|note:|fact|when i|"
    r"if i|system:|assistant:)",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s+")


@dataclass(frozen=True, slots=True)
class Round:
    """One round of asking: what is new, and what was left out with the reason."""

    number: int
    questions: tuple[str, ...]
    rejected: tuple[tuple[str, str], ...]


def rounds(
    generator: dict[str, Any],
    teacher: Prompt,
    template: str | None,
    writer: QuestionWriter,
    *,
    key: str,
    known: set[str],
    first: int,
    have: int,
) -> Iterator[Round]:
    """Yield rounds until `numq` questions exist that are not in `known`, or the writer is dry.

    `known` holds the normal forms of all questions so far and grows with each round.
    """
    fruitless, number = 0, first
    while have < generator["numq"] and fruitless < MAX_FRUITLESS_ROUNDS:
        missing = generator["numq"] - have
        instruction = Template(template or QUESTION_TEMPLATE).safe_substitute(
            numq=str(missing), prompt_u=as_text(teacher)
        )
        replies = writer.write(
            instruction, key=f"{key}/{number}", wanted=missing, temperature=generator["temperature"]
        )
        accepted, rejected = sift(replies, known, list_like=not writer.speaks_as_user)
        accepted = accepted[:missing]
        known.update(normal(q) for q in accepted)
        have += len(accepted)
        fruitless = 0 if accepted else fruitless + 1
        yield Round(number, tuple(accepted), tuple(rejected))
        number += 1


def openers(numq: int, known: set[str]) -> list[str]:
    """Return the openers that a set of `numq` questions begins with, and add them to `known`."""
    chosen = [q for q in OPENERS if normal(q) not in known][: int(numq * MOST_OPENERS)]
    known.update(normal(q) for q in chosen)
    return chosen


def sift(
    replies: Sequence[Reply], known: set[str], *, list_like: bool
) -> tuple[list[str], list[tuple[str, str]]]:
    """Split replies into new questions and (text, reason) for what is left out."""
    accepted: list[str] = []
    rejected: list[tuple[str, str]] = []
    seen = set(known)
    for reply in replies:
        for text, finished in _candidates(reply, list_like):
            reason = _reason(text, finished, seen)
            if reason:
                rejected.append((text, reason))
            else:
                seen.add(normal(text))
                accepted.append(text)
    return accepted, rejected


def normal(question: str) -> str:
    """Return the form in which two questions are the same: no case, single spaces."""
    return " ".join(question.casefold().split())


def as_text(prompt: Prompt) -> str:
    """Return a prompt as people would write it down: the text, with roles where there are many."""
    if len(prompt.messages) == 1:
        return str(prompt.messages[0].get("content") or "")
    return "\n".join(f"{m['role']}: {m.get('content') or ''}" for m in prompt.messages)


def _candidates(reply: Reply, list_like: bool) -> list[tuple[str, bool]]:
    if not list_like:
        return [(reply.text, reply.finished)]
    lines = [line for line in reply.text.splitlines() if line.strip()]
    numbered = [line for line in lines if _NUMBER.match(line)]
    kept = numbered or lines
    cut = kept[-1] if kept and not reply.finished else None
    return [(_NUMBER.sub("", line).strip().strip('"'), line is not cut) for line in kept]


def _reason(text: str, finished: bool, seen: set[str]) -> str | None:
    if not finished:
        return "cut off"
    if not text or "\n" in text or len(text) > MAX_QUESTION_CHARS:
        return "not one message"
    if _INSTRUCTION.match(text):
        return "instruction"
    return "duplicate" if normal(text) in seen else None
