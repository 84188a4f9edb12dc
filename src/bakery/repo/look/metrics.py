"""The figures of a bake, step by step, as series: what is charted, tabled and written out."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bakery.card import Card
from bakery.errors import ConfigError, RepoError, StageError
from bakery.records import read_rows
from bakery.repo.model_repo import ModelRepo
from bakery.spelling import nearest
from bakery.store import results
from bakery.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Point:
    """One logged step. None: that figure was not taken there; `phase` None: the first phase."""

    step: int
    phase: str | None = None
    epoch: float | None = None
    loss: float | None = None
    eval_kl: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None
    tokens: float | None = None
    seconds: float | None = None

    @property
    def tokens_per_s(self) -> float | None:
        """How many target tokens were learnt from in a second."""
        return self.tokens / self.seconds if self.tokens is not None and self.seconds else None


ON_POLICY = "on_policy"
"""What rows of the phase on the student's own answers say."""

SERIES: Mapping[str, str] = {
    "loss": "nats per token",
    "eval_kl": "nats per token, held out",
    "learning_rate": "",
    "grad_norm": "",
    "tokens_per_s": "target tokens per second",
}
"""What can be charted, and in what it is measured."""


@dataclass(frozen=True, slots=True)
class History:
    """What was logged while a bake was trained."""

    bake: str
    points: tuple[Point, ...]
    verdict: Verdict | None = None
    """Whether the prompt survived; None: it is not trained yet, or nobody has looked."""

    def series(self, name: str) -> list[tuple[int, float]]:
        """Return the (step, value) pairs of a series; what is not finite has no place."""
        found = [(point.step, getattr(point, name)) for point in self.points]
        return [(step, value) for step, value in found if _is_finite(value)]

    @property
    def names(self) -> list[str]:
        """The series that have any value."""
        return [name for name in SERIES if self.series(name)]

    @property
    def on_policy_from(self) -> int | None:
        """The first step on the student's own answers; None: there is none."""
        return next((point.step for point in self.points if point.phase == ON_POLICY), None)

    def as_data(self) -> dict[str, Any]:
        """Return what a program reads: every step with the figures it has, and their span.

        JSON has no word for a figure that is not finite: it is null.
        """
        rows = [
            {
                name: value if isinstance(value, str) or _is_finite(value) else None
                for name, value in _row(point).items()
                if value is not None
            }
            for point in self.points
        ]
        return {
            "bake": self.bake,
            **({"verdict": self.verdict.as_data()} if self.verdict is not None else {}),
            "metrics": rows,
            "series": {name: asdict(Span.of(self.series(name))) for name in self.names},
        }


@dataclass(frozen=True, slots=True)
class Span:
    """Where a series began, ended, and was lowest and highest."""

    first: float
    last: float
    min: float
    max: float

    @classmethod
    def of(cls, pairs: Sequence[tuple[int, float]]) -> Span:
        """Return the span of (step, value) pairs, of which there are some."""
        values = [value for _, value in pairs]
        return cls(values[0], values[-1], min(values), max(values))


@dataclass(frozen=True, slots=True)
class Source:
    """A bake that is or was trained, and its folder in the store."""

    bake: str
    folder: Path

    def read(self) -> History:
        """Return what it logged so far."""
        history = read(self.bake, self.folder / results.METRICS)
        card = (results.seen(self.folder / results.RESULT) or {}).get("card")
        return replace(history, verdict=Card.from_data(card or {}).verdict)


@dataclass(frozen=True, slots=True)
class Metrics:
    """What was logged of one bake, or of several."""

    histories: tuple[History, ...]

    def as_data(self) -> dict[str, Any] | list[dict[str, Any]]:
        """Return what `bgit metrics --json` prints: of one bake, or a list of several."""
        data = [history.as_data() for history in self.histories]
        return data[0] if len(data) == 1 else data


def metrics(repo: ModelRepo, bakes: Sequence[str] = ()) -> Metrics:
    """Return what was logged of some bakes; of none that is named, of the current one."""
    return logged(sources(repo, bakes))


def logged(sources: Sequence[Source]) -> Metrics:
    """Return what some bakes logged; StageError where one has nothing."""
    found = tuple(source.read() for source in sources)
    for history in found:
        if not history.points:
            raise nothing(history.bake)
    return Metrics(found)


def sources(repo: ModelRepo, bakes: Sequence[str], *, watch: bool = False) -> list[Source]:
    """Return where some bakes log; `watch`: of the one that is configured, begun or not."""
    return [_named(repo, bake) for bake in dict.fromkeys(bakes)] or [_current(repo, watch)]


def is_over(repo: ModelRepo, sources: Sequence[Source]) -> bool:
    """Tell whether bakes are done, or nobody makes them any more."""
    return not any(
        repo.store.held_since(source.folder) is not None and not results.is_done(source.folder)
        for source in sources
    )


def nothing(bake: str) -> StageError:
    """Return what to say of a bake that logged nothing."""
    return StageError(
        f"{bake} has no metrics on this machine",
        hint="They are written while `bgit run bake` trains.",
    )


def _named(repo: ModelRepo, text: str) -> Source:
    """Return the bake that a name means: a recorded one, or one of the store's own."""
    try:
        found = repo.find_model(text)
    except RepoError:
        unrecorded = _ID.fullmatch(text)
        if unrecorded is None or not repo.store.bake(unrecorded[1]).is_dir():
            raise
        return Source(text, repo.store.bake(unrecorded[1]))
    if found is None:
        raise RepoError(f"{text} is the base model: it was not baked here")
    return Source(found.name, repo.store.bake(found.id))


def _current(repo: ModelRepo, watch: bool) -> Source:
    """Return the bake that is configured, where it has begun; else the last one."""
    plan, bakes = repo.plan(), repo.bakes()
    if plan.bake is not None and plan.bake_name is not None:
        folder = repo.store.bake(plan.bake.id)
        if watch or not bakes or (folder / results.METRICS).exists():
            return Source(plan.bake_name, folder)
    if not bakes:
        raise StageError("nothing has been baked yet", hint="`bgit run` bakes what input.yml says.")
    return Source(bakes[-1].name, repo.store.bake(bakes[-1].id))


_ID = re.compile(r"(?:\S*_)?([0-9a-f]{16})")


def read(bake: str, path: Path) -> History:
    """Return what a bake logged so far; where there is no file, nothing."""
    points = read_rows(path, Point, strict=False)
    told = [p for p in points if any(getattr(p, name) is not None for name in SERIES)]
    return History(bake, tuple(told))


def chosen(histories: Sequence[History], names: Sequence[str]) -> list[str]:
    """Return the series that were asked for: `all`, some by name, or the loss."""
    there = [name for name in SERIES if any(name in history.names for history in histories)]
    if "all" in names:
        return there
    for name in names:
        if name not in there:
            near = nearest(name, [*there, "all"])
            meant = f": did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"there is no series {name!r} here{meant}",
                hint=f"There are: {', '.join([*there, 'all'])}.",
            )
    return list(dict.fromkeys(names)) or there[:1]


def as_csv(histories: Sequence[History]) -> str:
    """Return a table of all steps of all bakes, with a column for each figure that any has."""
    rows = [{"bake": h.bake, **_row(point)} for h in histories for point in h.points]
    columns = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _row(point: Point) -> dict[str, Any]:
    return {**asdict(point), "tokens_per_s": point.tokens_per_s}


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
