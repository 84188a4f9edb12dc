"""Runs in the background: one small file for each in the store, written by its own process.

A job is fixed by the commit it was launched from. What its process says last is true for as long
as that process lives: one that was killed, or whose machine went down, is `interrupted`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from bakery import json_file
from bakery.errors import BakeryError, ModelError, RepoError, StageError
from bakery.plain import plain
from bakery.records import ModelRef, write_atomic
from bakery.store.processes import ProcessId, is_free
from bakery.store.store import Store

SCHEMA = 1

State = Literal["queued", "running", "complete", "failed", "cancelled", "interrupted"]

LIVE = frozenset({"queued", "running"})


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the current step of a job is."""

    step: str
    done: int
    total: int
    per_s: float | None = None
    """None: not known before some of it is done."""
    left_s: float | None = None
    detail: str = ""

    @property
    def percent(self) -> int:
        """How much of the step is done."""
        return 100 * self.done // self.total if self.total else 0


@dataclass(frozen=True, slots=True)
class Job:
    """One run in the background, from its launch to its record."""

    id: str
    repository: str
    """git's common folder: a store may serve several repositories."""
    worktree: str
    branch: str
    commit: str
    input_blob: str
    stages: tuple[str, ...]
    names: tuple[str, ...]
    """What it makes: targets, or the bake."""
    force: bool = False
    at_once: bool = False
    """Whether it runs beside the other jobs of its store instead of after them."""
    allow: tuple[str, ...] = ()
    """What it goes on with though it is poor."""
    nproc: int | None = None
    """In how many processes it trains; None: one on each GPU."""
    shard: bool = False
    """Whether they share the base's weights out."""
    on: str | None = None
    """Where it has questions and answers made; None: in its own process."""
    backend: str | None = None
    """What writes and answers in place of models; None: models do."""
    state: State = "queued"
    process: ProcessId | None = None
    created: str = ""
    began: str = ""
    """Empty: it waits for its turn."""
    ended: str = ""
    progress: Progress | None = None
    notes: tuple[str, ...] = ()
    error: str = ""
    hint: str = ""
    stimuli: int | None = None
    trajectories: int | None = None
    model: str | None = None
    """The full name of the model it made; None: no bake was asked for, or it is not complete."""
    recorded: str | None = None
    """The commit that records the model on its branch."""

    @property
    def is_live(self) -> bool:
        """Whether it waits or works."""
        return self.state in LIVE

    @property
    def is_to_be_recorded(self) -> bool:
        """Whether it made a model that no commit holds yet."""
        return self.state == "complete" and self.model is not None and self.recorded is None

    @property
    def bake_id(self) -> str | None:
        """The 16 hex digits of the bake it made."""
        return ModelRef.parse(self.model).bake_id if self.model else None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit jobs --json` prints of it."""
        data, at = asdict(self), self.progress
        data["progress"] = asdict(at) | {"percent": at.percent} if at else None
        found: dict[str, Any] = plain(data)
        return found

    def write(self, store: Store) -> Job:
        """Put it on disk, whole; return it."""
        data = {"schema": SCHEMA, **asdict(self)}
        write_atomic(record_path(store, self.id), json.dumps(data, indent=2) + "\n")
        return self


@dataclass(frozen=True, slots=True)
class Fetched:
    """What `bgit fetch` found and did."""

    branch: str
    jobs: tuple[Job, ...]
    """Those of this branch that matter: alive, recorded now, and the last one."""
    results: Mapping[str, Mapping[str, Any]]
    """bake.json of what was recorded now, by the job's id."""
    others: tuple[tuple[Job, str], ...]
    """Those of other branches that work or wait to be recorded, with how to get there."""
    refused: Mapping[str, BakeryError]
    """Why what was complete could not be recorded, by the job's id."""
    held_back: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """bake.json of what was made and fell short of a gate, by the job's id."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit fetch --json` prints."""
        jobs = [
            job.as_data()
            | {
                "card": {**self.held_back, **self.results}.get(job.id, {}).get("card"),
                "refused": self.refused[job.id].message if job.id in self.refused else None,
            }
            for job in self.jobs
        ]
        others = [job.as_data() | {"go_there": way} for job, way in self.others]
        return {"branch": self.branch, "jobs": jobs, "others": others}

    @property
    def has_failed(self) -> bool:
        """Whether what was launched last came to nothing."""
        return any(j.state in ("failed", "cancelled", "interrupted") for j in self.jobs)


def record_path(store: Store, job_id: str) -> Path:
    """Return the file of a job."""
    return store.root / "jobs" / f"{job_id}.json"


def log_path(store: Store, job_id: str) -> Path:
    """Return what a job's process has said."""
    return store.root / "jobs" / f"{job_id}.log"


def cancel_path(store: Store, job_id: str) -> Path:
    """Return the file that, where it is there, says that the job is not wanted any more."""
    return store.root / "jobs" / f"{job_id}.cancel"


@contextmanager
def alive(store: Store, job_id: str) -> Iterator[None]:
    """Hold what shows another machine, or a later container, that a job's process lives."""
    import filelock  # here: most commands lock nothing, and start sooner without it

    with filelock.FileLock(_lock_path(record_path(store, job_id))):
        yield


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def new_id(store: Store) -> str:
    """Return a name that no job has yet."""
    while record_path(store, name := secrets.token_hex(3)).exists():
        pass
    return name


def now() -> str:
    """Return the time as it is written down, fine enough to order jobs by."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read(path: Path) -> Job:
    """Return the job of a file, as it is now."""
    job = _written(path)
    if not _is_dead(job, path):
        return job
    job = _written(path)  # its last word may have come in between
    if not _is_dead(job, path):
        return job
    hint = f"{GO_ON} `bgit jobs --log {job.id}` shows what it said last."
    return replace(job, state="interrupted", error=WITHOUT_A_WORD, hint=hint)


def peek(path: Path) -> Job | None:
    """Return the job of a file; None: it cannot be read, or somebody deleted it."""
    try:
        return read(path)
    except RepoError:
        return None


WITHOUT_A_WORD = "its process ended without a word: it was killed, or the machine went down"
TOLD_TO_END = "its process was told to end, as when the machine goes down"
GO_ON = "What it made is kept: `bgit run --detach` on its branch goes on from there."


def _written(path: Path) -> Job:
    try:
        data = json_file.load_object(path)
        if data.pop("schema") != SCHEMA:
            raise ValueError("it is of another version of bgit")
        process, progress = data.pop("process"), data.pop("progress")
        for key in ("stages", "names", "notes", "allow"):
            data[key] = tuple(data.get(key, ()))
        for key in ("id", "repository", "worktree", "branch", "commit", "input_blob", "state",
                    "created", "began", "ended", "error", "hint"):  # fmt: skip
            if not isinstance(data[key], str):
                raise TypeError(f"`{key}` is not text")
        return Job(
            **data,
            process=ProcessId(**process) if process else None,
            progress=Progress(**progress) if progress else None,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RepoError(
            f"{path} cannot be read: {error}",
            hint="It says what a job in the background does. Delete it where none runs; what was "
            "made is kept.",
        ) from error


def _is_dead(job: Job, path: Path) -> bool:
    if not job.is_live or job.process is None:
        return job.is_live
    return job.process.is_dead() or (not job.process.is_here and is_free(_lock_path(path)))


def listed(
    store: Store, *, repository: Path | None = None, note: Callable[[str], None] | None = None
) -> list[Job]:
    """Return the jobs of a store (of one repository), oldest first.

    A file that cannot be read keeps nobody from the others: it is left out, and `note` is told
    of it. None: what is asked for has nothing to do with it.
    """
    found = []
    for path in sorted((store.root / "jobs").glob("*.json")):
        try:
            found.append(read(path))
        except RepoError as error:
            if note is not None:
                note(f"{error.message}: it is left out. {error.hint or ''}".rstrip())
    mine = [job for job in found if repository is None or store.serves(job.repository, repository)]
    return sorted(mine, key=lambda job: (job.created, job.id))


def find(jobs: Sequence[Job], name: str) -> Job:
    """Return the job that an id, or the beginning of one, means."""
    found = [job for job in jobs if name and job.id.startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise RepoError(f"there is no job {name!r}", hint="`bgit jobs --all` lists them.")
    ids = ", ".join(job.id for job in found)
    raise RepoError(f"{name!r} may mean {ids}", hint="Give one more digit.")


def not_recorded(store: Store, done: Job, error: BakeryError) -> BakeryError:
    """Return why a job is not recorded, with the way out where what it made is gone for good."""
    hint = error.hint or ""
    if isinstance(error, ModelError | StageError):
        hint = f"{hint} To do without it: `rm {quote(str(record_path(store, done.id)))}`.".lstrip()
    return type(error)(f"job {done.id} is not recorded: {error.message}", hint=hint or None)


def refusal(refused: Sequence[BakeryError]) -> BakeryError:
    """Return what several jobs ran into as one error, with the exit code of the worst."""
    worst = max(refused, key=lambda error: error.exit_code)
    hints = dict.fromkeys(error.hint for error in refused if error.hint)
    return type(worst)("\n".join(error.message for error in refused), hint="\n".join(hints) or None)


def mark_recorded(
    store: Store,
    repository: Path,
    branch: str,
    bake_id: str,
    commit: str,
    *,
    note: Callable[[str], None],
) -> None:
    """Write into the jobs that made a bake for a branch which commit records it.

    That commit is made: what cannot be written down any more is only said.
    """
    for job in listed(store, repository=repository):
        if job.is_to_be_recorded and job.branch == branch and job.bake_id == bake_id:
            try:
                replace(job, recorded=commit).write(store)
            except OSError as error:
                note(f"job {job.id} is recorded, but its file could not be written: {error}")
