"""What is left of each target in a model that was made of others, and where two contradict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

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
