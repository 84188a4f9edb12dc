"""tests.yml as HEAD has it: input.yml is emptied after each bake, this file stays."""

from __future__ import annotations

from dataclasses import dataclass

from bakery.errors import ConfigError, RepoError
from bakery.repo import reading
from bakery.repo.files.names import TESTS
from bakery.repo.model_repo import ModelRepo
from bakery.schema import tests
from bakery.schema.tests import Suite
from bakery.store import results


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit's tests.yml says, and the id of its blob."""

    suite: Suite
    blob: str


def committed(repo: ModelRepo) -> Committed | None:
    """Return the tests of HEAD, or of the commit that is read instead; None: it has none."""
    at = repo.at or repo.git.head()
    entry = repo.git.entry(TESTS, at=at) if at else None
    if entry is None:
        return None
    try:
        text = reading.own_text(repo.git, TESTS, at=at)
    except RepoError as error:  # what git does not keep as it is, is wrong in that file
        raise ConfigError(error.message, hint=error.hint) from error
    if text is None:
        raise ConfigError(f"{TESTS} is a folder or another repository", hint="Put a file there.")
    return Committed(tests.load(text, source=TESTS), entry.id)


def unreadable(error: ConfigError) -> str:
    """Return what to say of tests that cannot be read where nothing hangs on them."""
    first, *more = error.message.split("\n")
    others = f" (and {len(more)} more)" if more else ""
    return f"the tests of HEAD cannot be read: {first}{others}"


def refused(repo: ModelRepo, bake_id: str) -> tuple[str, ...]:
    """Return in what a finished bake fell short of the gate of HEAD; empty: it was not asked."""
    said = results.seen(repo.store.bake(bake_id) / results.RESULT) or {}
    found = said.get("refused")
    if not isinstance(found, dict) or not isinstance(found.get("short"), list):
        return ()
    head = repo.git.head()
    entry = repo.git.entry(TESTS, at=head) if head else None
    if entry is None or entry.id != found.get("tests"):
        return ()  # another gate has not been asked yet
    return tuple(str(one) for one in found["short"])


def differs(repo: ModelRepo, found: Committed | None) -> str:
    """Return how the file in the folder is not what is read, as a sentence; "": it is."""
    if not repo.git.statuses([TESTS]):
        return ""
    if found is None:
        return (
            f"{TESTS} is not committed, so it is not read: `bgit add {TESTS}`, then `bgit commit`"
        )
    return f"{TESTS} differs from HEAD: HEAD's is used"
