"""Ways to bake a prompt, and to spoil it: each returns what input.yml says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bakery.records import Message
from verdicts.exams import Case, system

Document = dict[str, Any]
Way = Callable[[Case], Document]


ONE_ANSWER = {"num_traj_per_stimulus": 1}
"""To each question: a bake takes half the time."""


def document(
    messages: Sequence[Message],
    questions: Sequence[str],
    *,
    model_writes: int = 24,
    target: Mapping[str, Any] | None = None,
    bake: Mapping[str, Any] | None = None,
) -> Document:
    """Return an input.yml that asks questions, and has the base write some more."""
    generators: list[Document] = [{"type": "hardcoded", "questions": list(questions)}]
    if model_writes:
        generators.append({"type": "oneshot_qs", "numq": model_writes})
    return {
        "PROMPT": {"teacher": {"messages": list(messages)}},
        "TARGET": {"name": "asked", "generators": generators, **ONE_ANSWER, **(target or {})},
        "BAKE": {"name": "made", **(bake or {})},
    }


def _good(case: Case) -> Document:
    return document(case.messages, case.written)


def _longer(case: Case) -> Document:
    return document(case.messages, case.written, bake={"epochs": 3})


def _few_epochs(case: Case) -> Document:
    rate = {"optimizer": {"learning_rate": 3e-4}, "epochs": 1}
    return document(case.messages, case.written, bake=rate)


def _unasked(case: Case) -> Document:
    return document(case.messages, case.plain, model_writes=0)


def _high_rate(case: Case) -> Document:
    return document(case.messages, case.written, bake={"optimizer": {"learning_rate": 3e-2}})


def _low_rate(case: Case) -> Document:
    return document(case.messages, case.written, bake={"optimizer": {"learning_rate": 1e-6}})


def _cut(case: Case) -> Document:
    return document(case.messages, case.written, target={"max_tokens": 4})


def _few_questions(case: Case) -> Document:
    return document(case.messages, case.written[:4], model_writes=4)


def _small(case: Case) -> Document:
    adapter = {"r": 1, "target_modules": ["q_proj"]}
    return document(case.messages, case.written, bake={"model": {"baked_adapter_config": adapter}})


def _hot(case: Case) -> Document:
    return document(case.messages, case.written, target={"temperature": 2.0})


def _gibberish(case: Case) -> Document:
    asked = [f"{chr(97 + i % 26)}{i} zzk {i * 7} qq?" for i in range(40)]
    return document(case.messages, asked, model_writes=0)


def _conflict(case: Case) -> Document:
    return document(
        case.messages,
        case.written,
        bake={
            "datasets": [{"target": "asked", "weight": 1.0}, {"target": "before", "weight": 1.0}]
        },
    )


def before(case: Case) -> Document:
    """Return the bake of another prompt on the same questions, which a conflict goes on from."""
    other = document(system("You are a pirate. Your name is Bones."), case.written, model_writes=30)
    other["TARGET"]["name"], other["BAKE"]["name"] = "before", "first"
    return other


CONFLICT, GARBAGE = "a conflicting old target", "a prompt beyond the model"
WAYS: Mapping[str, Way] = {
    "good": _good,
    "good, three epochs": _longer,
    "good, defaults 1": _good,
    "too few epochs": _few_epochs,
    "too few epochs, defaults 1": _few_epochs,
    "facts that nobody asked": _unasked,
    "too high a rate": _high_rate,
    "too low a rate, defaults 1": _low_rate,
    CONFLICT: _conflict,
    GARBAGE: _good,
    "cut answers": _cut,
    "too few questions": _few_questions,
    "too small an adapter, defaults 1": _small,
    "answers drawn too hot": _hot,
    "questions that are none": _gibberish,
}
"""What is done to a bake, by what it is called."""

ORDER = tuple(name for at, way in enumerate(WAYS) for name in ((way,) if at % 4 else (way, "good")))
"""One round: every way once, and good ones between them."""
