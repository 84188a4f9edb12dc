"""Whether the files of runs in the background, and of commits to be made, can be relied on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bakery.errors import BakeryError
from bakery.records import ModelRef
from bakery.repo.commits.journal import Journal
from bakery.repo.model_repo import ModelRepo
from bakery.store import job, results
from bakery.store.findings import Finding


def problems(repo: ModelRepo) -> Iterator[Finding]:
    """Yield what is wrong with the files of runs in the background, and of commits to be made."""
    for path in sorted((repo.store.root / "jobs").glob("*.json")):
        try:
            found = job.read(path)
        except BakeryError as error:
            yield Finding("damaged", path, f"job {path.stem}", _why(error, path),
                          "delete it where no job runs: what was made is kept")  # fmt: skip
            continue
        if found.is_to_be_recorded and not results.is_done(
            repo.store.bake(ModelRef.parse(str(found.model)).bake_id)
        ):
            yield Finding("missing", path, f"job {found.id}", f"{found.model} is not in the store",
                          f"run it again, or delete {path}")  # fmt: skip
    for path in repo.store.journals():
        try:
            journal = Journal.read(path)
        except BakeryError as error:
            yield Finding("damaged", path, "a commit to be made", _why(error, path),
                          error.hint or "")  # fmt: skip
            continue
        if journal.action == "record" and not results.is_done(repo.store.bake(journal.bake_id)):
            yield Finding("missing", path, f"the record of bake {journal.bake_id}",
                          "the bake is not in the store",
                          f"delete {path}, and bake again")  # fmt: skip


def _why(error: BakeryError, path: Path) -> str:
    return error.message.removeprefix(f"{path} cannot be read: ")
