"""Figures of a model: each with its interval, how many it is of, and what it was measured on.

Plain data; what a figure means, with its equation, stands in docs/eval.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Unit = Literal["nats", "share", "points", "tokens", "words", "seconds", "MB", "requests"]

AXES = (
    "fidelity", "drift", "persistence", "steerability", "leakage", "forgetting", "capability",
    "cost",
)  # fmt: skip
"""What is measured, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number. `low` and `high` are its 95 % interval; None: of so few there is none."""

    name: str
    value: float | None
    """None: it cannot be said, and `why` says for what reason."""
    unit: Unit
    n: int
    of: str
    """What `n` counts: questions, answers, timings."""
    low: float | None = None
    high: float | None = None
    why: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        data: dict[str, Any] = {"value": self.value, "low": self.low, "high": self.high}
        data |= {"unit": self.unit, "n": self.n, "of": self.of}
        return data | ({"why": self.why} if self.why else {})

    @classmethod
    def from_data(cls, name: str, data: Mapping[str, Any]) -> Figure:
        """Read what `as_data` wrote; KeyError, TypeError or ValueError where it is no figure."""
        unit = data["unit"]
        if unit not in get_args(Unit):
            raise ValueError(f"{name} is in {unit!r}")
        value, low, high = (_number(data[key]) for key in ("value", "low", "high"))
        n, of, why = int(data["n"]), str(data["of"]), str(data.get("why", ""))
        return cls(name, value, unit, n, of, low, high, why)


@dataclass(frozen=True, slots=True)
class Axis:
    """The figures of one axis. `why` says why there are none."""

    name: str
    on: str
    """What it was measured on."""
    figures: tuple[Figure, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    """What the figures were made of: questions, turns, cells of a matrix."""
    target: str = ""
    """Whose prompt it is about; empty: no single one's."""
    why: str = ""
    cpu_s: float = 0.0
    """Processor seconds that it took."""

    @property
    def key(self) -> str:
        """What it is called among those of one model."""
        return f"{self.name}/{self.target}" if self.target else self.name

    def figure(self, name: str) -> Figure | None:
        """Return a figure by its name; None: it was not measured."""
        return next((one for one in self.figures if one.name == name), None)

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        data: dict[str, Any] = {"name": self.name, "target": self.target, "on": self.on}
        if self.why:
            data["why"] = self.why
        data["cpu_s"] = self.cpu_s
        data["figures"] = {one.name: one.as_data() for one in self.figures}
        return {**data, "rows": [dict(row) for row in self.rows]}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Axis:
        """Read what `as_data` wrote; KeyError, TypeError or ValueError where it is no axis."""
        return cls(
            str(data["name"]),
            str(data.get("on", "")),
            tuple(
                Figure.from_data(name, one) for name, one in dict(data.get("figures") or {}).items()
            ),
            tuple(dict(row) for row in data.get("rows") or ()),
            str(data.get("target", "")),
            str(data.get("why", "")),
            float(data.get("cpu_s") or 0.0),
        )


def _number(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{value!r} is no number")


def unmeasured(name: str, why: str, *, target: str = "") -> Axis:
    """Return an axis without figures, and why it has none."""
    return Axis(name, "", target=target, why=why)
