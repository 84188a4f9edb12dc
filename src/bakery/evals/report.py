"""What an evaluation found of a model, with what it was compared with: plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bakery.evals.figures import Axis

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class EvalReport:
    """The axes of one model. `against` is another model, measured in the same way."""

    model: str
    suite: str
    inputs: Mapping[str, str]
    """What was given beside the model: files, their digests, a canary's digest."""
    axes: tuple[Axis, ...]
    cpu_s: float
    """Processor seconds that it took, without what was loaded before."""
    versions: Mapping[str, Any] = field(default_factory=dict)
    finished: str = ""
    against: EvalReport | None = None
    is_stored: bool = False
    """Whether it was read from the store, and not measured now."""

    def axis(self, name: str, target: str = "") -> Axis | None:
        """Return an axis by name, the first of them where no target is named."""
        found = (a for a in self.axes if a.name == name and target in ("", a.target))
        return next(found, None)

    def differences(self) -> dict[str, dict[str, float]]:
        """Return how much more each figure is than that of the model compared with.

        Axes are paired by name and order: targets of two models are called differently.
        """
        if self.against is None:
            return {}
        found: dict[str, dict[str, float]] = {}
        for mine, its in self.paired():
            if its is None:
                continue
            for figure in mine.figures:
                other = its.figure(figure.name)
                if other and figure.value is not None and other.value is not None:
                    found.setdefault(mine.key, {})[figure.name] = figure.value - other.value
        return found

    def paired(self) -> list[tuple[Axis, Axis | None]]:
        """Return each axis with that of the model compared with, where it has one."""
        left = list(self.against.axes) if self.against else []
        pairs: list[tuple[Axis, Axis | None]] = []
        for axis in self.axes:
            other = next((one for one in left if one.name == axis.name), None)
            if other is not None:
                left.remove(other)
            pairs.append((axis, other))
        return pairs

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit eval --json` prints, and what the store keeps."""
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "model": self.model,
            "suite": self.suite,
            "inputs": dict(self.inputs),
            "axes": [axis.as_data() for axis in self.axes],
            "cpu_s": round(self.cpu_s, 3),
            "versions": dict(self.versions),
            "finished": self.finished,
        }
        if self.against is not None:
            data["against"] = self.against.as_data()
            data["differences"] = self.differences()
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any], *, is_stored: bool = True) -> EvalReport:
        """Read what `as_data` wrote; what it was compared with is not kept.

        Raises KeyError, TypeError or ValueError where it is no evaluation.
        """
        return cls(
            str(data["model"]),
            str(data["suite"]),
            dict(data.get("inputs") or {}),
            tuple(Axis.from_data(axis) for axis in data["axes"]),
            float(data.get("cpu_s") or 0.0),
            dict(data.get("versions") or {}),
            str(data.get("finished", "")),
            is_stored=is_stored,
        )
