"""The runs in the background of one repository: listed, launched, stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.app import background
from bakery.errors import BakeryError, ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import job
from bakery.store.job import Job
from bakery.torchrun.asked import UNSAID, Processes


@dataclass(frozen=True, slots=True)
class Jobs:
    """Some jobs of a repository, oldest first."""

    jobs: tuple[Job, ...]
    hidden: int
    """How many more there are."""

    def as_data(self) -> list[dict[str, Any]]:
        """Return what `bgit jobs --json` prints."""
        return [found.as_data() for found in self.jobs]


@dataclass(frozen=True, slots=True)
class Launched:
    """A run that was started in the background."""

    job: Job
    log: Path

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit run --detach --json` prints."""
        return self.job.as_data() | {"log": str(self.log)}


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of jobs that were to be stopped."""

    jobs: tuple[Job, ...]
    refused: tuple[BakeryError, ...]
    """Why others could not be."""


def jobs(
    repo: ModelRepo, *, everything: bool = False, limit: int | None = None, reporter: Reporter
) -> Jobs:
    """Return the latest jobs: those that matter, or `everything`."""
    known = _known(repo, reporter)
    chosen = [found for found in known if everything or _matters(found, known)]
    latest = chosen[-limit:] if limit else chosen
    return Jobs(tuple(latest), len(known) - len(latest))


def find(repo: ModelRepo, name: str, reporter: Reporter) -> Launched:
    """Return the job that an id, or the beginning of one, means."""
    return _launched(repo, job.find(_known(repo, reporter), name))


def launch(
    repo: ModelRepo,
    stages: Sequence[str],
    *,
    force: bool = False,
    at_once: bool = False,
    allow: Sequence[str] = (),
    processes: Processes = UNSAID,
    on: str | None = None,
    reporter: Reporter,
) -> Launched:
    """Start a run in a process of its own; `on` says where it has questions and answers made."""
    begun = background.launch(
        repo, stages, force=force, at_once=at_once, allow=allow, processes=processes,
        on=on, reporter=reporter,
    )  # fmt: skip
    return _launched(repo, begun)


def cancel(
    repo: ModelRepo, names: Sequence[str], *, everything: bool = False, reporter: Reporter
) -> Cancelled:
    """Stop jobs by name, or all that work or wait; a refused one does not stop the rest."""
    if bool(names) == everything:
        raise ConfigError("name a job, or give --all", hint="`bgit jobs` lists them.")
    known = _known(repo, reporter)
    if everything:
        # The last first: none begins because the one before it ended.
        chosen = [found for found in reversed(known) if found.is_live]
    else:
        chosen = list(dict.fromkeys(job.find(known, name) for name in names))
    ended: list[Job] = []
    refused: list[BakeryError] = []
    for found in chosen:
        try:
            ended.append(background.cancel(repo.store, found))
        except BakeryError as error:
            refused.append(error)
    return Cancelled(tuple(ended), tuple(refused))


def _known(repo: ModelRepo, reporter: Reporter) -> list[Job]:
    return job.listed(repo.store, repository=repo.git.common_dir, note=reporter.note)


def _matters(found: Job, known: Sequence[Job]) -> bool:
    """Tell whether a job works, waits, is to be fetched, or is the last word on its branch."""
    last = [other for other in known if other.branch == found.branch][-1]
    return found.is_live or found.is_to_be_recorded or (found is last and not found.recorded)


def _launched(repo: ModelRepo, found: Job) -> Launched:
    return Launched(found, job.log_path(repo.store, found.id))
