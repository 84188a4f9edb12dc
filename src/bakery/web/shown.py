"""What the templates are told of bakes, stages and jobs: words, signs and addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.card import Card
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Branch, Node
from bakery.repo.look.progress import StageStatus, has_weights
from bakery.store.job import Job
from bakery.store.store import Store
from bakery.ui import status as words
from bakery.ui.chart import number
from bakery.ui.jobs import how_far, what
from bakery.ui.report.origin import KINDS
from bakery.ui.report.sections import SIGNS

if TYPE_CHECKING:
    from bakery.repo.look.status import Status

MOST_PLACES = 6
"""Branches and tags that are named at one model."""

_JOBS = {
    "queued": "none",
    "running": "part",
    "complete": "good",
    "failed": "bad",
    "cancelled": "none",
    "interrupted": "bad",
}
_STAGES = {
    "not_started": "none",
    "running": "part",
    "partial": "part",
    "failed": "bad",
    "complete": "good",
}
"""How states are drawn."""


@dataclass(frozen=True, slots=True)
class Row:
    """A bake as a tree shows it."""

    name: str
    digits: str
    full: str
    kind: str
    sign: str
    word: str
    """Its verdict: how it is drawn, and in words."""
    kl: str
    date: str
    places: Sequence[Branch]
    more_places: int
    is_current: bool
    is_here: bool
    """Whether this clone's store has its weights."""
    notes: tuple[str, ...]


def base(name: str) -> str:
    """Return what people call a base: of a path its end."""
    return Path(name).name if name.startswith(("/", "./", "../", "~")) else name


def row(store: Store, node: Node, *, is_root: bool) -> Row:
    """Return a bake as a tree shows it; `is_root`: no bake of the tree is above it."""
    bake = node.bake
    card = bake.card
    kind, sign, word = verdict(card)
    places = sorted(node.places, key=lambda place: (not place.is_current, place.is_tag))
    kl = "" if card is None or card.kl_after is None else number(card.kl_after)
    return Row(
        bake.base_name,
        bake.id[:8],
        bake.name,
        kind,
        sign,
        word,
        kl,
        str(bake.part("finished") or "")[:10],
        places[:MOST_PLACES],
        max(0, len(places) - MOST_PLACES),
        node.is_current,
        has_weights(store, bake.model),
        tuple(_notes(bake, is_root)),
    )


def verdict(card: Card | None) -> tuple[str, str, str]:
    """Return how a verdict is drawn, its sign, and its word."""
    found = card.verdict if card else None
    if found is None:
        return "none", "·", "no verdict"
    return KINDS[found.word], SIGNS[found.word], found.word


def _notes(bake: RecordedBake, is_root: bool) -> Iterator[str]:
    if is_root and bake.parent is not None:
        yield f"baked on {bake.parent}, which no branch has"
    if bake.backend is not None:
        yield "made up: it is no model to use"
    if len(bake.models) > 1:
        yield f"{len(bake.models)} steps were kept"


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage of what is configured."""

    stage: str
    name: str
    kind: str
    state: str
    how_much: str
    how_long: str
    percent: int | None
    error: str | None


def stage(found: StageStatus, jobs: Sequence[Job] = ()) -> StageRow:
    """Return a stage as the page of jobs shows it: as far as the job says that is at it."""
    at = next((one.progress for one in jobs if _is_at(one, found)), None)
    if at is not None:
        found = replace(found, done=at.done, left_s=at.left_s)
    return StageRow(
        found.stage,
        found.name,
        _STAGES[found.state],
        words.STATES[found.state][0],
        words.how_much(found),
        words.how_long(found),
        found.percent,
        found.error,
    )


def _is_at(job: Job, stage: StageStatus) -> bool:
    """Tell whether a job that works says how far a stage is, in what the stage counts."""
    at = job.progress if job.state == "running" and stage.name in job.names else None
    return (
        at is not None
        and stage.state != "complete"
        and (at.step, at.total) == (stage.stage, stage.expected)
    )


@dataclass(frozen=True, slots=True)
class JobRow:
    """A run in the background."""

    id: str
    kind: str
    state: str
    what: str
    how_far: str
    percent: int | None
    """None: nobody is at it, or it has not said yet."""
    branch: str
    commit: str
    model: str | None
    error: str
    hint: str
    is_live: bool
    can_record: bool
    """Whether it made a model that is to be recorded on the branch that is checked out here."""
    elsewhere: bool
    """Whether it is to be recorded on another."""


def job(found: Job, branch: str | None) -> JobRow:
    """Return a job as the page shows it; `branch` is the one that is checked out."""
    at = found.progress if found.state == "running" else None
    is_of_here = found.branch == branch
    return JobRow(
        found.id,
        _JOBS[found.state],
        found.state,
        what(found),
        "" if found.state == "failed" else how_far(found),
        at.percent if at is not None else None,
        found.branch,
        found.commit[:10],
        found.model,
        found.error,
        found.hint,
        found.is_live,
        found.is_to_be_recorded and is_of_here,
        found.is_to_be_recorded and not is_of_here,
    )


def problems(status: Status) -> tuple[str, ...]:
    """Return why nothing, or not all that is written, can be run."""
    return tuple(filter(None, (status.problem, status.draft_problem, status.parent_problem)))
