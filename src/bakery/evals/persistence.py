"""Does the prompt hold in a conversation? For the prompted parent, and for the baked model.

Each side answers neutral turns for itself, and then gets a question of the target. What the
prompted parent says when that question comes first is the measure of both: so turns differ in
what came before, and in nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bakery.evals.fidelity import cases_of
from bakery.evals.figures import Axis, Figure, unmeasured
from bakery.evals.intervals import ratio
from bakery.evals.lab import Case, Lab, Near
from bakery.evals.sides import Side
from bakery.evals.subject import Asked, Subject
from bakery.records import Message

OF = "questions"
MEASURED: tuple[Side, ...] = ("prompted", "baked", "parent")
KEPT: tuple[Side, ...] = ("prompted", "baked")
STRIDE = 7
"""Neutral questions between the beginnings of two conversations."""


@dataclass(frozen=True, slots=True)
class _Histories:
    """The conversations so far of each side, turn by turn."""

    of: dict[Side, list[list[Message]]]

    def before(self, side: Side, at: int, turn: int) -> tuple[Message, ...]:
        """Return what was said before a turn, counted from 1."""
        return tuple(self.of[side][at][: 2 * (turn - 1)])

    @property
    def turns(self) -> int:
        """How many turns can be measured: one more than were answered."""
        return 1 + min(len(history) // 2 for held in self.of.values() for history in held)


def persistence(lab: Lab, subject: Subject, neutral: Sequence[str]) -> Axis:
    """Measure KL(prompted at once ‖ side after k − 1 turns), and how much of the prompt is kept.

    Kept is 1 − that of the side / that of the parent that never had the prompt, at the same turn.
    """
    asked = subject.asked[: lab.suite.repeated]
    if not asked:
        return unmeasured("persistence", "there is no question to ask", target=subject.name)
    places, cases = _first_answers(lab, asked)
    histories = _histories(lab, neutral)
    turns = [t for t in lab.suite.turns if _fits(lab, histories, places, cases, t)]
    said = _said(lab, histories, places, cases, turns)
    teach = lab.read("prompted", cases)
    figures: list[Figure] = []
    rows = []
    for turn in lab.suite.turns:
        if turn not in turns:
            figures += [Figure(f"{s}_kept_{turn}", None, "share", 0, OF, why=_FULL) for s in KEPT]
            continue
        near: dict[Side, list[Near]] = {s: lab.near(teach, said[s, turn]) for s in MEASURED}
        figures += [kept(f"{s}_kept_{turn}", near[s], near["parent"]) for s in KEPT]
        figures += [_kl(f"{s}_kl_{turn}", near[s]) for s in MEASURED]
        rows.append({"turn": turn, **{str(s): _mean(near[s]) for s in MEASURED}})
    on = (
        f"{len(cases)} {subject.on} after neutral turns of {_many(lab.suite.conversations)}, "
        f"{sum(len(case.ids) for case in cases)} tokens at each turn"
    )
    return Axis("persistence", on, tuple(figures), tuple(rows), subject.name)


_FULL = "so long a conversation does not fit the context"


def kept(name: str, side: Sequence[Near], parent: Sequence[Near]) -> Figure:
    """Return 1 − KL of a side / KL of the parent without the prompt."""
    parts = [n.forward for n in side], [n.forward for n in parent]
    return ratio(name, *parts, "share", OF, inverted=True)


def _kl(name: str, near: Sequence[Near]) -> Figure:
    return ratio(name, [n.forward for n in near], [n.tokens for n in near], "nats", OF)


def _mean(near: Sequence[Near]) -> float:
    return sum(n.forward for n in near) / sum(n.tokens for n in near)


def _first_answers(lab: Lab, asked: Sequence[Asked]) -> tuple[list[int], list[Case]]:
    """Return one answer of the prompted parent to each question, as if it came first."""
    found = dict(reversed(list(zip(*cases_of(lab, asked), strict=True))))
    return sorted(found), [found[at] for at in sorted(found)]


def _histories(lab: Lab, neutral: Sequence[str]) -> _Histories:
    """Have each side hold conversations of neutral turns, answering for itself."""
    count, prompts = lab.suite.conversations, (lab.sides.teacher, lab.sides.student)
    said: dict[Side, list[list[Message]]] = {side: [[] for _ in range(count)] for side in MEASURED}
    for turn in range(max(lab.suite.turns) - 1):
        for histories in said.values():
            for at, history in enumerate(histories):
                text = neutral[(at * STRIDE + turn) % len(neutral)]
                history.append({"role": "user", "content": text})
        longest = max((one for held in said.values() for one in held), key=_length)
        if not lab.fits(prompts, longest, lab.suite.turn_tokens):
            break
        # The parent with its prompt and without it is one model: both answer in one batch.
        both = [*said["prompted"], *said["parent"]]
        behind = [prompt for prompt in prompts for _ in range(count)]
        answers = lab.say("parent", both, tokens=lab.suite.turn_tokens, behind=behind)
        answers += lab.say("baked", said["baked"], tokens=lab.suite.turn_tokens)
        for history, answer in zip([*both, *said["baked"]], answers, strict=True):
            history.append({"role": "assistant", "content": answer.text})
    return _Histories(said)


def _fits(
    lab: Lab, histories: _Histories, places: Sequence[int], cases: Sequence[Case], turn: int
) -> bool:
    """Tell whether a turn was reached, and its questions and answers fit the context."""
    if turn > histories.turns:
        return False
    both = (lab.sides.teacher, lab.sides.student)
    return all(
        lab.fits(both, case.messages, len(case.ids))
        for side in MEASURED
        for case in _behind(histories, side, places, cases, turn)
    )


def _said(
    lab: Lab, histories: _Histories, places: Sequence[int], cases: Sequence[Case],
    turns: Sequence[int],
) -> dict[tuple[Side, int], list[torch.Tensor]]:  # fmt: skip
    """Return what each side says at each turn; sides of the same weights are run together."""
    found: dict[tuple[Side, int], list[torch.Tensor]] = {}
    prompts = {"prompted": lab.sides.teacher}
    together: tuple[tuple[Side, ...], ...] = (("prompted", "parent"), ("baked",))
    for sides in together:
        keys = [(side, turn) for side in sides for turn in turns]
        every = [case for key in keys for case in _behind(histories, key[0], places, cases, key[1])]
        behind = [prompts.get(key[0], lab.sides.student) for key in keys for _ in cases]
        weights: Side = "baked" if sides == ("baked",) else "parent"
        said = lab.read(weights, every, behind=behind)
        for at, key in enumerate(keys):
            found[key] = said[at * len(cases) : (at + 1) * len(cases)]
    return found


def _length(history: Sequence[Message]) -> int:
    return sum(len(str(message["content"])) for message in history)


def _behind(
    histories: _Histories, side: Side, places: Sequence[int], cases: Sequence[Case], turn: int
) -> list[Case]:
    """Return the questions as a turn of that side's conversations."""
    count = len(histories.of[side])
    return [
        Case((*histories.before(side, at % count, turn), *case.messages), case.ids)
        for at, case in zip(places, cases, strict=True)
    ]


def _many(conversations: int) -> str:
    return "one conversation" if conversations == 1 else f"{conversations} conversations"
