"""Does a bake hold: the word, why, and the answers that show it.

Plain data; what decides is measured elsewhere (`stages.measured`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Word = Literal["holds", "holds in part", "does not hold"]
WORDS: tuple[Word, ...] = ("holds", "holds in part", "does not hold")
"""From the best to the worst."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One word, its reason in one sentence, and the figures that it was made of."""

    word: Word
    reason: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"word": self.word, "reason": self.reason, "figures": dict(self.figures)}

    @classmethod
    def from_data(cls, data: Any) -> Verdict | None:
        """Read a verdict; None: there is none, or of a word that nobody here knows."""
        if not isinstance(data, dict) or data.get("word") not in WORDS:
            return None
        return cls(data["word"], str(data.get("reason", "")), data.get("figures") or {})


@dataclass(frozen=True, slots=True)
class SideBySide:
    """A question and what the sides of a bake answer to it. `differs`: in what; "": in nothing."""

    question: str
    base: str
    prompted: str
    baked: str
    differs: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Covered:
    """A sentence of a prompt, and how much of it was learnt.

    `asked` is how many questions' answers depend on it; `gap_closed` is over those (None: there
    are none, or no gap).
    """

    sentence: str
    asked: int
    gap_closed: float | None

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)
