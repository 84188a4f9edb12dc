"""The questions and answers of one target, as they lie in the store, and the shares of its mix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.errors import ConfigError, StageError
from bakery.plain import plain
from bakery.records import (
    Stimulus,
    Trajectory,
    given_name,
    questions_of,
    read_rows,
    user_text,
)
from bakery.repo.look import target as targets
from bakery.repo.model_repo import ModelRepo
from bakery.spelling import nearest
from bakery.store import results

ENDS = ("stop", "length", "stop_text", "empty", "refused")
"""How answers end; an endpoint may have words of its own."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the store keeps one target's questions and answers; `remark` says whose they are."""

    name: str
    stim: Path
    target: Path
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one generator gave to the mix. `wanted` None: all that its source has."""

    generator: str
    source: str
    writers: Mapping[str, int]
    wanted: int | None
    got: int
    share: float
    left_out: Mapping[str, int]
    usable: int | None = None
    """Replies of a model that are messages to send. None: no model wrote, or nobody judged."""
    judged: int | None = None
    """Of how many."""

    @property
    def is_poor(self) -> bool:
        """Whether fewer than half of a model's replies are usable."""
        return self.usable is not None and self.usable * 2 < (self.judged or 0)


@dataclass(frozen=True, slots=True)
class _LeftOut:
    source: int
    reason: str


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of a target, or a page of them."""

    target: str
    complete: bool
    """Whether all are there that were asked for."""
    count: int
    """How many there are in all."""
    offset: int
    """How many of them come before these."""
    shares: tuple[Share, ...]
    rows: tuple[Stimulus, ...]
    remark: str | None = None
    """Whose they are, where nobody said whose are wanted."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit stim --json` prints."""
        return {
            "target": self.target,
            "complete": self.complete,
            "count": self.count,
            "offset": self.offset,
            "generators": plain(self.shares),
            "stimuli": self.entries(),
        }

    def entries(self) -> list[dict[str, Any]]:
        """Return the questions as plain data, without what is not known of them."""
        return [{k: v for k, v in plain(row).items() if v is not None} for row in self.rows]


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a target, or a page of them."""

    target: str
    complete: bool
    count: int
    tokens: int
    """Of all, as `finish` and `models` are."""
    finish: Mapping[str, int]
    """How many ended how."""
    models: Mapping[str, int]
    offset: int
    rows: tuple[Trajectory, ...]
    questions: Mapping[str, Stimulus]
    """By id."""
    remark: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit rollout --json` prints."""
        return {
            "target": self.target,
            "complete": self.complete,
            "count": self.count,
            "tokens": self.tokens,
            "finish": dict(self.finish),
            "models": dict(self.models),
            "offset": self.offset,
            "answers": self.entries(),
        }

    def entries(self) -> list[dict[str, Any]]:
        """Return the answers as plain data, each with its question."""
        return [
            {
                "question": self._question(row),
                "tokens": len(row.response_ids),
                **plain(row),
                **self._values(row),
            }
            for row in self.rows
        ]

    def _values(self, row: Trajectory) -> dict[str, Any]:
        asked = self.questions.get(row.stimulus_id)
        return {"values": asked.values} if asked and asked.values else {}

    def _question(self, row: Trajectory) -> str:
        asked = self.questions.get(row.stimulus_id)
        return user_text(asked.messages) if asked else f"(question {row.stimulus_id})"


def stim(
    repo: ModelRepo, name: str | None = None, *, limit: int | None = None, offset: int = 0
) -> Questions:
    """Return the questions of a target by its name, and the shares of its mix."""
    return questions(folders_of(repo, name), limit=limit, offset=offset)


def questions(found: Folders, *, limit: int | None = None, offset: int = 0) -> Questions:
    """Return the questions that a folder has, or a page of them."""
    rows = results.stimuli(found.stim)
    return Questions(
        found.name,
        results.is_done(found.stim),
        len(rows),
        offset,
        tuple(shares(found.stim, rows)),
        tuple(rows[offset:][:limit]),
        _remark(found.remark, found.stim),
    )


def rollout(
    repo: ModelRepo,
    name: str | None = None,
    *,
    finish: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Answers:
    """Return the answers of a target by its name: all, or those that ended in one way."""
    return answers(folders_of(repo, name), finish=finish, limit=limit, offset=offset)


def answers(
    found: Folders, *, finish: str | None = None, limit: int | None = None, offset: int = 0
) -> Answers:
    """Return the answers that a folder has, or a page of them."""
    every = results.trajectories(found.target)
    ends = dict.fromkeys([*ENDS, *(row.finish for row in every)])
    if finish is not None and finish not in ends:
        near = nearest(finish, ends)
        raise ConfigError(
            f"no answer ends with {finish!r}" + (f": did you mean {near[0]}?" if near else ""),
            hint=f"There are: {', '.join(ends)}.",
        )
    rows = [row for row in every if finish in (None, row.finish)]
    return Answers(
        found.name,
        results.is_done(found.target),
        len(rows),
        sum(len(row.response_ids) for row in rows),
        Counter(row.finish for row in rows),
        Counter(row.model for row in rows),
        offset,
        tuple(rows[offset:][:limit]),
        {row.id: row for row in results.stimuli(found.stim)},
        _remark(found.remark, found.target),
    )


def _remark(whose: str | None, folder: Path) -> str | None:
    """Return whose rows these are, and that they are not those that were made, where that is so."""
    try:
        damage = results.changed(folder)
        mended: str | None = "`bgit import DIR` takes them from another clone or an export"
    except StageError as error:  # what lies there is shown all the same
        damage, mended = error.message, error.hint
    if damage is None and results.is_unread(folder / results.REQUEST):
        damage, mended = f"{folder / results.REQUEST} is damaged", "`bgit fsck` says what mends it"
    told = [whose, f"{damage}. {mended}" if damage else None]
    return "\n".join(part for part in told if part) or None


def folders_of(repo: ModelRepo, name: str | None) -> Folders:
    """Return the folders of a target by its name.

    None: of the first that is configured, else of the first that the last bake was made of.
    """
    store = repo.store
    if name is not None:
        found = targets.find(repo, name)
        return Folders(found.name, store.stim(found.stim_id), store.target(found.id))
    planned = repo.plan().targets
    if planned:
        first, others = planned[0], [target.base_name for target in planned[1:]]
        return Folders(
            first.name,
            store.stim(first.stim.id),
            store.target(first.rollout.id),
            f"these are of {first.base_name}{_shown(others)}" if others else None,
        )
    bakes = repo.bakes()
    if not bakes:
        raise StageError(
            "no target is configured, and nothing has been baked yet",
            hint="Fill in PROMPT and TARGET in input.yml, then `bgit add input.yml`.",
        )
    last = bakes[-1]
    used, *more = last.data["targets"]
    names = [given_name(target["name"]) for target in (used, *more)]
    whose = f"{names[0]} of {last.name}{_shown(names[1:])}" if more else last.name
    remark = f"input.yml names no target; these are of {whose}"
    return Folders(used["name"], store.stim(used["stim_id"]), store.target(used["id"]), remark)


def _shown(others: Sequence[str]) -> str:
    return f"; --target shows {', '.join(others)}"


def shares(folder: Path, rows: Sequence[Stimulus]) -> list[Share]:
    """Return what each generator gave, in the order of input.yml."""
    generators = (results.seen(folder / results.REQUEST) or {}).get("generators")
    if not isinstance(generators, list) or not all(map(_is_generator, generators)):
        return []  # not there, or damaged: fsck says so
    left_out = read_rows(folder / results.REJECTED, _LeftOut)
    judged = _judged(folder)
    found = []
    for number, generator in enumerate(generators):
        mine = [row for row in rows if row.source == number]
        found.append(
            Share(
                generator["type"],
                _source(generator),
                dict(Counter(row.writer for row in mine)),
                questions_of(generator),
                len(mine),
                len(mine) / len(rows) if rows else 0.0,
                dict(Counter(row.reason for row in left_out if row.source == number)),
                judged.get(str(number), {}).get("usable"),
                judged.get(str(number), {}).get("of"),
            )
        )
    return found


def _judged(folder: Path) -> dict[str, Any]:
    """Return how each model's replies were judged, so far or in the end."""
    told = results.seen(folder / results.DONE) or results.seen(folder / results.BESIDE) or {}
    found = told.get("judged")
    told_by = found.items() if isinstance(found, dict) else ()
    return {key: one for key, one in told_by if isinstance(one, dict)}


def _is_generator(told: Any) -> bool:
    return isinstance(told, dict) and isinstance(told.get("type"), str)


def _source(generator: Mapping[str, Any]) -> str:
    """Return what tells two generators of a type apart."""
    named = (generator.get(key) for key in ("template_path", "dataset", "model"))
    return next((str(value) for value in named if value), "")
