"""The questions and answers of one target, as they lie in the store, and the shares of its mix."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.errors import StageError
from bakery.records import Stimulus, Trajectory, given_name, read_rows
from bakery.repo.look import target as targets
from bakery.repo.look.progress import asked
from bakery.repo.model_repo import ModelRepo


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


def questions(folder: Path) -> list[Stimulus]:
    """Return the questions that there are."""
    return read_rows(folder / "stimuli.jsonl", Stimulus)


def answers(folder: Path) -> list[Trajectory]:
    """Return the answers that there are."""
    return read_rows(folder / "trajectories.jsonl", Trajectory)


def is_complete(folder: Path) -> bool:
    """Tell whether a stage has written all that it was asked for."""
    return (folder / "done.json").is_file()


def shares(folder: Path, rows: Sequence[Stimulus]) -> list[Share]:
    """Return what each generator gave, in the order of input.yml."""
    path = folder / "request.json"
    if not path.is_file():
        return []
    generators = json.loads(path.read_text("utf-8"))["generators"]
    left_out = read_rows(folder / "rejected.jsonl", _LeftOut)
    judged = _judged(folder)
    found = []
    for number, generator in enumerate(generators):
        mine = [row for row in rows if row.source == number]
        found.append(
            Share(
                generator["type"],
                _source(generator),
                dict(Counter(row.writer for row in mine)),
                asked(generator),
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
    for name in ("done.json", "beside.json"):
        if (path := folder / name).is_file():
            found: dict[str, Any] = json.loads(path.read_text("utf-8")).get("judged", {})
            return found
    return {}


def _source(generator: Mapping[str, Any]) -> str:
    """Return what tells two generators of a type apart."""
    named = (generator.get(key) for key in ("template_path", "dataset", "model"))
    return next((str(value) for value in named if value), "")
