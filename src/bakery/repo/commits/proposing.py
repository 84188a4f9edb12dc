"""The remote of weights that a repository proposes to its clones: a line of .bread, in a commit."""

from __future__ import annotations

from bakery.errors import RepoError
from bakery.repo.commits import checks, commit, record
from bakery.repo.files import hosted, state
from bakery.repo.files.names import BREAD
from bakery.repo.git import Git
from bakery.reporting import Reporter
from bakery.store.store import Store


def propose(git: Git, store: Store, url: str, reporter: Reporter) -> str | None:
    """Commit the line on this branch ("": without one); None: .bread says so already."""
    checks.can_commit(git)
    checks.own_files_are_clean(git)
    with store.lock(store.root / "record", "bgit weights", wait_s=record.LOCK_WAIT_S):
        head = git.run("rev-parse", "HEAD")
        bread = git.blob(f"{head}:{BREAD}")
        if bread is None:
            raise RepoError(f"{BREAD} is not committed on this branch")
        now = state.parse(bread.text)
        if now.is_former:
            raise hosted.not_begun(now.name)
        if now.weights == url:
            return None
        files = {BREAD: git.write_blob(state.with_weights(bread.text, url))}
        message = f"weights: {url}\n" if url else "weights: propose no remote\n"
        made = commit.make(git, head, files, message)
        commit.refresh(git, head, made, (BREAD,), reporter)
    return made
