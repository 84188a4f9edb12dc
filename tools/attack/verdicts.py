"""What came of one attack, and of a whole campaign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["accepted", "refused", "lost", "doubled", "silently wrong", "traceback", "slow"]

FAILURES: tuple[Verdict, ...] = ("lost", "doubled", "silently wrong", "traceback", "slow")
HEADINGS = ("tried", "accepted", "refused", "lost", "doubled", "silently wrong", "tracebacks",
            "over 10 s")  # fmt: skip
_COLUMNS: tuple[Verdict, ...] = ("accepted", "refused", *FAILURES)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case; `said` is what a person would have read, or what was wrong."""

    case: str
    verdict: Verdict
    said: str = ""

    @property
    def has_failed(self) -> bool:
        """Whether the product did what it must not do."""
        return self.verdict in FAILURES


@dataclass(frozen=True, slots=True)
class Report:
    """One campaign: how often it tried, what it found, and how to see a failure again."""

    name: str
    counts: Counter[str]
    failures: tuple[Outcome, ...]
    seconds: float
    kinds: dict[str, int] = field(default_factory=dict)
    """How many cases of each kind."""

    @classmethod
    def of(cls, name: str, outcomes: Iterable[Outcome], seconds: float) -> Report:
        """Sum up the outcomes of a campaign."""
        every = list(outcomes)
        return cls(
            name,
            Counter(outcome.verdict for outcome in every),
            tuple(outcome for outcome in every if outcome.has_failed),
            seconds,
            dict(Counter(outcome.case.partition(":")[0] for outcome in every)),
        )

    @property
    def tried(self) -> int:
        """How many cases there were."""
        return sum(self.counts.values())

    def row(self) -> list[int]:
        """Return the numbers under HEADINGS."""
        return [self.tried, *(self.counts[verdict] for verdict in _COLUMNS)]

    def again(self, outcome: Outcome) -> str:
        """Return the command that shows a failure again."""
        return f"python -m tools.attack {self.name} --case '{outcome.case}'"

    def as_data(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "campaign": self.name,
            **dict(zip(HEADINGS, self.row(), strict=True)),
            "kinds": self.kinds,
            "seconds": round(self.seconds, 1),
            "failures": [
                {"case": o.case, "verdict": o.verdict, "said": o.said, "again": self.again(o)}
                for o in self.failures
            ],
        }


def table(reports: Iterable[Report]) -> str:
    """Lay the campaigns out as one table, a row each."""
    heads = ("", *HEADINGS, "minutes")
    rows = [
        (report.name, *(f"{n:,}" for n in report.row()), f"{report.seconds / 60:.1f}")
        for report in reports
    ]
    widths = [max(len(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (heads, *rows)
    ]
    return "\n".join(lines)
