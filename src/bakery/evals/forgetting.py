"""What a chain has forgotten: every target of its bakes, measured after each bake since.

The teacher of a target is the parent that its own bake had, under its prompt, as it was then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bakery.evals.chain import Chain
from bakery.evals.fidelity import gap_closed, merged
from bakery.evals.figures import Axis, Figure, unmeasured
from bakery.evals.intervals import ratio
from bakery.evals.lab import Case, Lab, Near
from bakery.evals.subject import Subject
from bakery.records import given_name
from bakery.variables import filled

OF = "questions"


@dataclass(frozen=True, slots=True)
class Link:
    """A bake of a chain, and what it was taught; none: its questions are not here."""

    bake_id: str
    name: str
    subjects: tuple[Subject, ...]


def forgetting(lab: Lab, chain: Chain, links: Sequence[Link]) -> Axis:
    """Measure the matrix: model after each bake × target of each bake up to it.

    Forgotten is how much less of a target's gap is closed now than right after its own bake.
    """
    if len(chain.bakes) < 2:
        return unmeasured("forgetting", "there is no earlier bake in it")
    figures: list[Figure] = []
    rows: list[dict[str, Any]] = []
    lost: list[Figure] = []
    for at, bake_id in enumerate(chain.bakes):
        link = next((one for one in links if one.bake_id == bake_id), None)
        for subject in link.subjects if link else ():
            cells = _column(lab, chain, subject, at)
            if cells is None:
                continue
            before, after = cells[0], cells[1:]
            named = _unlike(given_name(subject.name), figures)
            for done, near in enumerate(after, start=at + 1):
                rows.append({
                    "target": subject.name, "of": link.name if link else "",
                    "after": chain.bakes[done - 1], "kl": _mean(near),
                    "gap_closed": gap_closed(near, before).value, "n": len(near),
                })  # fmt: skip
            if at + 1 == len(chain.bakes):
                continue
            then, now = gap_closed(after[0], before), gap_closed(after[-1], before)
            figures += [_called(f"{named}_then", then), _called(f"{named}_now", now)]
            figures.append(_kl(f"{named}_kl_now", after[-1]))
            parts = [b.forward - a.forward for a, b in zip(after[0], after[-1], strict=True)]
            if then.value is not None:
                wholes = [n.forward for n in before]
                lost.append(ratio(f"{named}_forgotten", parts, wholes, "share", OF))
    if not figures:
        return unmeasured(
            "forgetting", "the questions or weights of the earlier bakes are not here"
        )
    figures += lost
    if lost:
        worst = max(lost, key=lambda one: one.value or 0.0)
        figures.append(_called("most_forgotten", worst))
    targets = len({row["target"] for row in rows})
    on = f"the held-out questions of {targets} targets of {len(chain.bakes)} bakes"
    return Axis("forgetting", on, tuple(figures), tuple(rows))


def _column(lab: Lab, chain: Chain, subject: Subject, at: int) -> list[list[Near]] | None:
    """Return how near a target's teacher are its parent, its own model, and each one since."""
    cases, places = [], []
    for place, one in enumerate(subject.asked[: lab.suite.questions]):
        for ids in one.answers:
            cases.append(Case(one.messages, ids, one.values))
            places.append(place)
    if not cases:
        return None
    teacher, student = subject.sides
    with chain.first(at):
        taught = lab.scored([filled(teacher, case.values) for case in cases], cases)
    found = []
    for count in range(at, len(chain.bakes) + 1):
        with chain.first(count):
            said = lab.scored([filled(student, case.values) for case in cases], cases)
            found.append(merged(places, lab.near(taught, said)))
    return found


def _mean(near: Sequence[Near]) -> float:
    return sum(n.forward for n in near) / sum(n.tokens for n in near)


def _kl(name: str, near: Sequence[Near]) -> Figure:
    return ratio(name, [n.forward for n in near], [n.tokens for n in near], "nats", OF)


def _called(name: str, figure: Figure) -> Figure:
    return replace(figure, name=name)


def _unlike(name: str, figures: Sequence[Figure]) -> str:
    """Return a name that no figure begins with yet."""
    taken = {one.name for one in figures}
    number, found = 1, name
    while f"{found}_kl_now" in taken:
        number += 1
        found = f"{name}_{number}"
    return found
