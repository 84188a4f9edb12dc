"""How much an evaluation measures: a table of suites by name."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bakery.errors import ConfigError
from bakery.evals.figures import AXES
from bakery.spelling import nearest


@dataclass(frozen=True, slots=True)
class Suite:
    """What is measured, and of how many at most."""

    name: str
    axes: tuple[str, ...]
    questions: int
    """Held-out questions of a target."""
    neutral: int
    """Questions where the prompt should not matter."""
    tokens: int
    """How long an answer may become that is given here."""
    turn_tokens: int
    """How long those of a conversation may."""
    repeated: int
    """Questions that are asked again: at each turn, and under each new prompt."""
    turns: tuple[int, ...] = (1, 2, 4, 8)
    """At which turns of a conversation its memory of the prompt is measured."""
    conversations: int = 1
    """How many conversations lead up to these turns."""
    contrary: int = 2
    """How many new prompts it is asked under."""
    timings: int = 5
    instructions: int | None = None
    """How many of IFEval; None: all that there are."""
    instruction_tokens: int = 512


SUITES = {
    "quick": Suite("quick", tuple(a for a in AXES if a != "capability"), 20, 20, 24, 16, 10),
    "full": Suite("full", AXES, 256, 40, 128, 64, 40, conversations=8, contrary=3, timings=20),
}


def suite(name: str, only: tuple[str, ...] = (), limit: int | None = None) -> Suite:
    """Return a suite by name, `only` some of its axes, of at most `limit` questions each."""
    if name not in SUITES:
        near = nearest(name, SUITES)
        raise ConfigError(
            f"there is no suite {name!r}",
            hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(SUITES)}.",
        )
    found = SUITES[name]
    if wrong := [axis for axis in only if axis not in AXES]:
        near = nearest(wrong[0], AXES)
        raise ConfigError(
            f"nothing that is measured is called {wrong[0]!r}",
            hint=f"Did you mean {near[0]}?" if near else f"There are: {', '.join(AXES)}.",
        )
    if only:
        found = replace(found, axes=tuple(axis for axis in AXES if axis in only))
    if limit is not None:
        most = found.instructions or limit
        found = replace(
            found, questions=min(limit, found.questions), neutral=min(limit, found.neutral),
            repeated=min(limit, found.repeated),
            instructions=min(limit, most),
        )  # fmt: skip
    return found
