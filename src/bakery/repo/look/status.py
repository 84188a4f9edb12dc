"""Everything `bgit status` says, gathered in a few calls of git and without tensors."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.errors import BakeryError, ConfigError
from bakery.identity import BaseModelId
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo import left, reading
from bakery.repo.commits.journal import Journal
from bakery.repo.files import hosted
from bakery.repo.files.emptied import has_active_lines
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.git import plain_path
from bakery.repo.history.lineage import chain_of
from bakery.repo.look import progress
from bakery.repo.look.progress import StageStatus
from bakery.repo.look.tests import refused
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.store.job import Job

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan


@dataclass(frozen=True, slots=True)
class Status:
    """Where a repository stands."""

    repository: str
    root: Path
    branch: str | None
    """None: HEAD is detached."""
    base: BaseModelId
    parent: ModelRef | None
    """The current model; None: the base model."""
    former_parent: str | None
    """The current model where another tool baked it; None: this one did."""
    parent_problem: str | None
    """Why nothing can be baked on the current model; None: it can."""
    has_weights: bool
    """Whether this clone's store has the current model's weights."""
    chain: tuple[RecordedBake, ...]
    """What the current model was baked from, oldest first."""
    is_configured: bool
    """Whether the input.yml that `bgit run` would read says anything."""
    plan: Plan | None
    """None: nothing is configured, or it cannot be read (see `problem`)."""
    problem: str | None
    """Why the input.yml that `bgit run` would read cannot be; None where it can."""
    draft_problem: str | None
    """Why the input.yml in the folder cannot be read; None where it can, or is the added one."""
    stages: tuple[StageStatus, ...]
    changes: tuple[str, ...]
    """What is not committed of the files that bgit reads, a sentence each."""
    unrecorded: str | None
    """The name of a bake that is done and not recorded; None: there is none."""
    refused: tuple[str, ...]
    """In what that bake falls short of HEAD's gate, a sentence each; empty: it may be recorded."""
    waiting: tuple[str, ...]
    """Branches that an interrupted bake waits to be recorded on."""
    last: RecordedBake | None
    """The bake of the current model, with its losses and card in `data`."""
    latest: ModelRef | None
    """The model of this branch's newest bake, where that is not the current one."""
    warnings: tuple[str, ...]
    """What input.yml says and is done differently; hooks of another tool, unreadable jobs."""
    commented: tuple[str, ...]
    """The sections that stand in input.yml commented out."""
    pending: tuple[str, ...]
    """Names that the input.yml in the folder would make, and the added one would not."""
    jobs: tuple[Job, ...]
    """Those of the background that wait or run."""
    fetchable: tuple[Job, ...]
    """Those that made a model which no commit holds yet."""
    store: Path
    store_bytes: int

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will happen by itself: all is complete, or nobody is at it."""
        return not self.jobs and not any(stage.state == "running" for stage in self.stages)

    @property
    def change(self) -> str | None:
        """What is not committed of input.yml, in words; None: all of it is."""
        return dict(_changed(self)).get(INPUT)

    @property
    def next(self) -> str:
        """The one thing to do now."""
        return _next(self)

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit status --json` prints."""
        plan, last = self.plan, self.last
        return {
            "repository": self.repository,
            "root": str(self.root),
            "branch": self.branch,
            "base": plain(self.base),
            "parent": plain(self.parent),
            "former_parent": self.former_parent,
            "parent_problem": self.parent_problem,
            "has_weights": self.has_weights,
            "chain": [str(bake.model) for bake in self.chain],
            "is_configured": self.is_configured,
            "problem": self.problem,
            "draft_problem": self.draft_problem,
            "targets": [target.name for target in plan.targets] if plan else [],
            "bake": plan.bake_name if plan else None,
            "stages": [{**plain(stage), "percent": stage.percent} for stage in self.stages],
            "changes": list(self.changes),
            "pending": list(self.pending),
            "warnings": list(self.warnings),
            "commented": list(self.commented),
            "jobs": [job.id for job in self.jobs],
            "fetchable": [job.id for job in self.fetchable],
            "latest": plain(self.latest),
            "unrecorded": self.unrecorded,
            "refused": list(self.refused),
            "waiting": list(self.waiting),
            **{key: last.data.get(key) if last else None for key in _OF_LAST},
            "store": str(self.store),
            "store_bytes": self.store_bytes,
        }


_OF_LAST = ("card", "joined", "loss", "seconds", "allowed", "gate")
"""What is told of the current model's bake as its recipe has it."""


def status(repo: ModelRepo) -> Status:
    """Gather what there is to know about a repository now."""
    now = repo.state()
    bakes = {bake.id: bake for bake in repo.bakes()}
    chain = chain_of(bakes, now.parent)
    configured, plan, problem = _plan(repo)
    unreadable: list[str] = []
    jobs = job.listed(repo.store, repository=repo.git.common_dir, note=unreadable.append)
    stages = progress.stages(repo.store, plan, jobs) if plan is not None else ()
    draft, draft_problem, statuses = _folder(repo, plan, problem)
    unrecorded = _unrecorded(stages, plan, bakes)
    newest = list(bakes.values())[-1].model if bakes else None
    return Status(
        repository=f"{now.owner}/{now.name}",
        root=repo.root,
        branch=repo.git.branch(),
        base=now.base,
        parent=now.parent,
        former_parent=now.former_parent,
        parent_problem=_parent_problem(repo),
        has_weights=now.parent is None or progress.has_weights(repo.store, now.parent),
        chain=chain,
        is_configured=configured,
        plan=plan,
        problem=problem,
        draft_problem=draft_problem,
        stages=stages,
        changes=_changes(statuses),
        unrecorded=unrecorded,
        refused=refused(repo, plan.bake.id) if unrecorded and plan and plan.bake else (),
        waiting=_waiting(repo),
        last=chain[-1] if chain else None,
        latest=newest if newest != now.parent else None,
        warnings=(
            *hosted.hooks(repo.git.common_dir),
            *left.told(repo.root, repo.git.git_dir),
            *_made_up(chain),
            *(plan.warnings if plan else ()),
            *unreadable,
        ),
        commented=_commented(repo),
        pending=tuple(name for name in _names(draft) if name not in _names(plan)),
        jobs=tuple(one for one in jobs if one.is_live),
        fetchable=tuple(one for one in jobs if one.is_to_be_recorded),
        store=repo.store.root,
        store_bytes=repo.store.size(),
    )


def _next(status: Status) -> str:
    """Return the one thing to do now."""
    change = status.change
    if any(job.branch == status.branch for job in status.fetchable):
        return "bgit fetch"
    unadded = _unadded(status)
    if status.draft_problem or (status.problem and change in (None, ADDED) and not unadded):
        return "fix input.yml, then `bgit add input.yml`"
    if change == DELETED:
        return f"git restore {INPUT}"
    if unadded:
        return f'bgit add {" ".join(map(shlex.quote, unadded))} && bgit commit -m "..."'
    if any(path not in (BREAD, RECIPE) for path, _ in _changed(status)):
        return 'bgit commit -m "..."'
    if status.parent_problem:
        return "bgit adopt base, or bgit adopt <model>"
    if status.refused:
        return "bake it better, or `bgit run --allow gate`   (records it as it is)"
    if status.unrecorded:
        return f"bgit run bake   (records {status.unrecorded}, which is baked already)"
    if status.last and status.last.backend and not status.jobs:
        return f"bgit revert {status.last.name}   (it learnt made-up answers)"
    if not status.is_configured:
        return "write in input.yml what to bake, then `bgit add input.yml`"
    if any(job.branch == status.branch for job in status.jobs):
        return "bgit fetch --wait   (records it when its job is complete)"
    open_stages = dict.fromkeys(s.stage for s in status.stages if s.state != "complete")
    if open_stages:
        return f"bgit run {' '.join(open_stages)}"
    if beside := _beside(status):
        return f"bgit adopt {beside}   (it is recorded here, but not the current model)"
    return "nothing: all of this is baked"


def _beside(status: Status) -> str | None:
    """Return the bake that is configured, recorded and not the current one; None: none is."""
    name = status.plan.bake_name if status.plan else None
    is_current = status.parent is not None and status.parent.bake == name
    return name if name and not is_current else None


def _unadded(status: Status) -> list[str]:
    """Return input.yml and the files that it names, those of them that are changed, not added."""
    own = (BREAD, RECIPE)
    return [p for p, what in _changed(status) if p not in own and what not in (ADDED, DELETED)]


def _changed(status: Status) -> list[tuple[str, str]]:
    """Return path and sentence of what is not committed."""
    parts = (change.rpartition(": ") for change in status.changes)
    return [(path, what) for path, _, what in parts]


def _made_up(chain: tuple[RecordedBake, ...]) -> tuple[str, ...]:
    """Return a warning for each bake of the current model that learnt what no model said."""
    return tuple(
        f"{bake.name} learnt made-up answers of the {bake.backend} backend"
        for bake in chain
        if bake.backend is not None
    )


def _plan(repo: ModelRepo) -> tuple[bool, Plan | None, str | None]:
    """Return whether something is configured, its plan, and why there is none."""
    blob = repo.git.blob(f":{INPUT}")
    if blob is None or not has_active_lines(blob.text):
        return False, None, None
    try:
        return True, repo.plan("index"), None
    except ConfigError as error:
        return True, None, _told(error)


def _folder(
    repo: ModelRepo, plan: Plan | None, problem: str | None
) -> tuple[Plan | None, str | None, dict[str, str]]:
    """Return what the folder's input.yml means, why it cannot be read, and what git says.

    A file that it names and that is not added yet may be all that is wrong with what is added.
    """
    named = dict.fromkeys(map(plain_path, plan.sources)) if plan else {}
    statuses = repo.git.statuses([INPUT, BREAD, RECIPE, *named])
    edited = any(statuses.get(path, "  ")[1] != " " for path in (INPUT, *named))
    if not edited and problem is None:
        return plan, None, statuses
    draft, draft_problem = _draft(repo)
    also = [path for path in map(plain_path, draft.sources) if path not in named] if draft else []
    if also:
        statuses |= repo.git.statuses(also)
    return draft, draft_problem if edited else None, statuses


def _draft(repo: ModelRepo) -> tuple[Plan | None, str | None]:
    """Return what the input.yml in the folder means, or why it cannot be read."""
    if not (repo.root / INPUT).is_file():
        return None, None
    try:
        return repo.plan("worktree"), None
    except BakeryError as error:
        return None, _told(error)


def _names(plan: Plan | None) -> list[str]:
    """Return what a plan makes, by its full names."""
    if plan is None:
        return []
    return [target.name for target in plan.targets] + ([plan.bake_name] if plan.bake_name else [])


_SECTION = re.compile(r"^[ \t]*#[# \t]*(PROMPT|TARGET|BAKE)[ \t]*:", re.MULTILINE)


def _commented(repo: ModelRepo) -> tuple[str, ...]:
    """Return the sections that are there as comments, and not as they are."""
    try:
        text = reading.folder_text(repo.root, INPUT)
    except (BakeryError, OSError):
        return ()
    found = set(_SECTION.findall(text))
    active = re.findall(r"^(PROMPT|TARGET|BAKE)[ \t]*:", text, re.MULTILINE)
    return tuple(name for name in ("PROMPT", "TARGET", "BAKE") if name in found - set(active))


def _told(error: BakeryError) -> str:
    return f"{error.message}\nhint: {error.hint}" if error.hint else error.message


def _parent_problem(repo: ModelRepo) -> str | None:
    try:
        repo.check_parent()
    except BakeryError as error:
        return _told(error)
    return None


ADDED = "added, not committed"
DELETED = "deleted in the folder"
_SENTENCES = {
    "?": "not added",
    "!": "ignored by git",
    "M": "changed in the folder, not added",
    "D": DELETED,
    "U": "in a merge conflict",
}


def _changes(statuses: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{path}: {_SENTENCES.get('U' if xy == 'AA' else xy[1], ADDED)}"
        for path, xy in statuses.items()
    )


def _unrecorded(
    stages: tuple[StageStatus, ...], plan: Plan | None, bakes: dict[str, RecordedBake]
) -> str | None:
    if plan is None or plan.bake is None or plan.bake.id in bakes:
        return None
    done = any(stage.stage == "bake" and stage.state == "complete" for stage in stages)
    return plan.bake_name if done else None


def _waiting(repo: ModelRepo) -> tuple[str, ...]:
    branches: list[str] = []
    for path in repo.store.journals():
        try:
            journal = Journal.read(path)
        except BakeryError:
            continue
        if repo.store.serves(journal.repository, repo.git.common_dir):
            branches.append(journal.branch)
    return tuple(branches)
