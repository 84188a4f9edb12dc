"""What is left of each target in a model that was made of others, and where two contradict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from bakery.records import given_name

LOST = 0.1
"""A target is lost where more of its answers than that share are other ones."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question, as it was answered before, and as it is now."""

    question: str
    before: str
    now: str
    kl: float
    """KL(before ‖ now) in nats, the mean over the tokens of the answer before."""
    worst: float
    differs: str
    """In what the answer differs from before; "": in nothing that matters."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a target. `agreed`: the share that is answered as the prompted model did."""

    target: str
    side: str
    questions: int
    other: int
    """How many are answered otherwise than before."""
    agreed_before: float
    agreed: float
    kl: float
    worst: float
    rows: tuple[Row, ...]
    """Those that are answered otherwise, the furthest first."""

    @property
    def is_lost(self) -> bool:
        """Whether more is gone than may be."""
        return self.other > LOST * self.questions

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**asdict(self), "is_lost": self.is_lost}


Word = Literal["as before", "lost in part", "lost"]
"""What a bake that was put together comes to, held against the models that it was made of."""


def recorded(joined: Mapping[str, Any]) -> tuple[Kept, ...]:
    """Return what a recipe says is left of each target: figures, without the answers."""
    own = {one.name for one in fields(Kept)} - {"rows"}
    told = joined.get("kept") or ()
    return tuple(Kept(**{key: one[key] for key in one if key in own}, rows=()) for one in told)


def summed_up(kept: Sequence[Kept]) -> tuple[Word, str] | None:
    """Return a word for all targets together, and how many answers it is of; None: none was asked.

    It says nothing of how good those were: each bake's own verdict does.
    """
    asked, other = sum(one.questions for one in kept), sum(one.other for one in kept)
    if not asked:
        return None
    lost = lost_of(kept)
    count = f"all {asked}" if not other else f"{asked - other} of {asked}"
    told = f"{count} questions are answered as by the models it was made of"
    if lost:
        told += f"; more than one answer in ten is another one of {lost}"
    word: Word = "as before" if not lost else "lost in part" if other < asked else "lost"
    return word, told


def lost_of(kept: Sequence[Kept]) -> str:
    """Return the names of the targets of which more is gone than may be; "": of none."""
    names = [given_name(one.target) for one in kept if one.is_lost]
    return " and ".join([*([", ".join(names[:-1])] if names[1:] else []), *names[-1:]])


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A question that both sides learnt something else to answer to."""

    key: str
    """`target/stimulus`."""
    question: str
    target: str
    side: str
    """Whose question it is."""
    before: str
    """What was answered before either learnt."""
    ours: str
    theirs: str
