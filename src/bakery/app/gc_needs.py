"""What all that use a store need of it: repositories, their jobs, commits yet to be made."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bakery.errors import BakeryError
from bakery.records import ModelRef
from bakery.repo.commits.journal import Journal
from bakery.repo.git import Git
from bakery.repo.look import needed as look
from bakery.repo.look.needed import Needed
from bakery.repo.model_repo import ModelRepo
from bakery.store import job, lease
from bakery.store.job import Job


def of_store(repo: ModelRepo, also: Collection[Path]) -> Needed:
    """Return what is needed of the store of a repository, which serves those of `also`, too."""
    found = Needed()
    repositories = {repo.git.common_dir: repo}
    for place in also:
        git = Git.find(place)
        repositories.setdefault(git.common_dir, ModelRepo(git))
    found.bakes |= lease.held(repo.store)
    _add_jobs(found, repo, repositories)
    _add_journals(found, repo, repositories)
    for each in repositories.values():
        _join(found, look.needed(each))
    return found


def _add_jobs(found: Needed, repo: ModelRepo, repositories: dict[Path, ModelRepo]) -> None:
    for path in sorted((repo.store.root / "jobs").glob("*.json")):
        try:
            one = job.read(path)
        except BakeryError as error:
            found.unclear.append(error.message)
            continue
        its = _repository(repo, one.repository, repositories, found)
        if not one.is_live and not one.is_to_be_recorded:
            continue
        if one.model:
            found.add_model(ModelRef.parse(one.model))
        if its is not None:
            _add_job(found, its, one)


def _add_job(found: Needed, its: ModelRepo, one: Job) -> None:
    planned = ModelRepo(its.git, backend=one.backend)
    look.add_commit(found, planned, one.commit, f"job {one.id}")


def _add_journals(found: Needed, repo: ModelRepo, repositories: dict[Path, ModelRepo]) -> None:
    for path in repo.store.journals():
        try:
            journal = Journal.read(path)
            found.bakes.add(journal.bake_id)
            if journal.block:
                found.add_block(journal.block)
        except BakeryError as error:
            found.unclear.append(error.message)
            continue
        _repository(repo, journal.repository, repositories, found)


def _repository(
    repo: ModelRepo, where: str, repositories: dict[Path, ModelRepo], found: Needed
) -> ModelRepo | None:
    """Return the repository that something of the store is of, and count its needs, too."""
    common = Path(where)
    if common == repo.git.common_dir or not common.is_dir():  # ours, wherever it was moved to
        return repo if repo.store.serves(where, repo.git.common_dir) else None
    if common not in repositories:
        for place in (common.parent, common):
            try:
                repositories[common] = ModelRepo(Git.find(place))
                break
            except BakeryError as error:
                problem = error.message
        else:
            found.unclear.append(f"{where}: {problem}")
    return repositories.get(common)


def _join(found: Needed, more: Needed) -> None:
    found.stims |= more.stims
    found.targets |= more.targets
    found.bakes |= more.bakes
    found.complete |= more.complete
    found.unclear += more.unclear
