"""A finished bake becomes one commit: recipe.yml grows, .bread moves on, input.yml is emptied.

Where the branch has another model by now than the one it was baked on, it is recorded beside
that: .bread stays. Where that one was taken back, its block comes along.

The journal is written first. Whatever is killed after that, the next command completes it, and
never twice: a bake whose block is in the branch's recipe has been recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bakery.card import Card
from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo.commits import checks, commit
from bakery.repo.commits.journal import MOVES, Journal
from bakery.repo.files import recipe, state
from bakery.repo.files.emptied import emptied
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.git import Blob, Git
from bakery.reporting import Reporter
from bakery.store import job
from bakery.store.store import BusyError, Store

OWN = (BREAD, RECIPE, INPUT)

LOCK_WAIT_S = 60.0
"""Not for ever: a user's hook that records something would wait for what waits for it."""


def record(
    git: Git,
    store: Store,
    result: Mapping[str, Any],
    *,
    model: ModelRef,
    launched: str,
    branch: str,
    reporter: Reporter,
) -> str:
    """Commit a finished bake (`result` is its bake.json) to `branch`; return the commit.

    `launched` is the blob of the input.yml that it was baked from; "" where none asked for it.
    """
    journal = Journal(
        "record",
        model.bake_id,
        str(git.common_dir),
        branch,
        git.head() or "",
        block=recipe.block(result, model=model, input_blob=launched or git.write_blob("")),
        launched=launched,
        message=_message(result, model),
    )
    with store.lock(
        store.root / "record", "bgit run bake", wait_s=LOCK_WAIT_S, announce=reporter.note
    ):
        journal.write(store.pending(journal.key))
        return _complete(git, store, journal, reporter)


def finish(git: Git, store: Store, reporter: Reporter) -> None:
    """Complete what a killed process left between a result and its commit.

    Never raises what a person has to act on: it is announced, and the command goes on.
    """
    for path in store.journals():
        try:
            journal = Journal.read(path)
            if not store.serves(journal.repository, git.common_dir):
                continue
            with store.lock(store.root / "record", "bgit"):
                if not path.exists():
                    continue
                if git.branch() != journal.branch:
                    _wait(git, store, journal, reporter)
                    continue
                made = _complete(git, store, journal, reporter)
                what = "completed" if made else "not begun, so run it again"
                subject = journal.message.split("\n")[0]
                reporter.note(f"`{subject}` was interrupted; it is {what}")
        except BusyError:
            continue  # it is being recorded right now, maybe by whoever called this
        except RepoError as error:
            reporter.note(f"{error.message}. {error.hint or ''}".strip())


def commit_journal(
    git: Git, store: Store, journal: Journal, files: Mapping[str, str], reporter: Reporter
) -> str:
    """Make the journal's commit of `files` on its `head`, refresh, and drop the journal.

    A refused commit drops the journal and leaves index and folder as they were.
    """
    pending = store.pending(journal.key)
    journal.write(pending)
    try:
        made = commit.make(git, journal.head, files, journal.message)
    except RepoError:
        # A commit that outlived its killed parent may have been first.
        now = git.head() or journal.head
        if not _is_made(git, journal, now):
            pending.unlink(missing_ok=True)
            raise
        made = now
    return _refreshed(git, store, journal, made, reporter)


def _complete(git: Git, store: Store, journal: Journal, reporter: Reporter) -> str:
    """Return the journal's commit, made now or before; "" for one that only asks again."""
    head = git.head()
    if git.branch() == journal.branch and head and _is_made(git, journal, head):
        return _refreshed(git, store, journal, head, reporter)
    if journal.action != "record":
        store.pending(journal.key).unlink(missing_ok=True)
        return ""
    _check(git, journal)
    assert head is not None  # checked: the branch has a commit
    try:
        files = _files(git, head, journal, reporter)
    except RepoError:
        store.pending(journal.key).unlink(missing_ok=True)
        raise
    try:
        return commit_journal(git, store, replace(journal, head=head), files, reporter)
    except RepoError as error:
        if not journal.launched:
            raise
        kept = f"The bake is kept: `bgit run bake` records it without training. {error.hint or ''}"
        raise RepoError(error.message, hint=kept.strip()) from error


def _check(git: Git, journal: Journal) -> None:
    """Refuse for now: the journal stays, and a later command completes it."""
    now = git.branch()
    if now is not None and now != journal.branch:
        raise RepoError(
            f"the bake is done, but branch {journal.branch!r} was left for {now!r}",
            hint=f"It is recorded as soon as you `git switch {journal.branch}` and "
            "run any bgit command.",
        )
    try:
        checks.can_commit(git)
        checks.own_files_are_clean(git)
    except RepoError as error:
        raise RepoError(
            f"the bake is done, but cannot be recorded yet: {error.message}",
            hint=f"{error.hint} Any bgit command then records it.",
        ) from error


def _files(git: Git, head: str, journal: Journal, reporter: Reporter) -> dict[str, str]:
    """Return the new blobs of the three files."""
    bread, recipe_blob, configuration = git.blobs([f"{head}:{path}" for path in OWN])
    if bread is None or recipe_blob is None:
        raise RepoError(
            f"{BREAD} or {RECIPE} is not committed on this branch",
            hint="`git log --stat` shows where it was lost; `git restore --source "
            "<commit> -- .bread recipe.yml` brings it back.",
        )
    bake = recipe.read(journal.bake_id, journal.block)
    current = state.parse(bread.text).parent
    recipe.parse(recipe_blob.text)
    # Without what it was made on nobody could adopt the bake, or make it again.
    text, along = recipe_blob.text, _taken_back(git, bake, recipe.blocks(recipe_blob.text))
    for ancestor in along or ():
        text = recipe.append(text, ancestor.block)
    files = {RECIPE: git.write_blob(recipe.append(text, journal.block))}
    if bake.part("teacher") is not None:
        reporter.note(
            f"{bake.name} is recorded beside the current model, as it lies on another base: "
            f"`bgit adopt {bake.base_name}` makes both those of {journal.branch}"
        )
    elif _link(current) == _link(bake.instead_of or bake.parent):
        files[BREAD] = git.write_blob(state.with_parent(bread.text, bake.model))
    else:
        reporter.note(
            f"{journal.branch} has moved to {current or 'the base model'} since {bake.name} was "
            f"begun on {bake.parent or 'the base model'}: {_beside(bake, along)}"
        )
    if not journal.launched:
        return files
    if configuration is not None and _still_launched(git, configuration, journal.launched):
        files[INPUT] = git.write_blob(emptied(configuration.text))
    else:
        reporter.note(f"{INPUT} is not the one that was baked: it is left as it is")
    return files


def _beside(bake: RecordedBake, along: Sequence[RecordedBake] | None) -> str:
    """Return how a bake is recorded beside the current model, and how it becomes that."""
    if along is None:
        return (
            f"it is recorded beside it. No {RECIPE} of this clone has what it was made on: "
            f"`git fetch --all --tags` has to bring that before `bgit adopt {bake.base_name}`"
        )
    names = ", ".join(ancestor.name for ancestor in along)
    what = f", and with it {names}, which the branch had taken back" if names else ""
    return (
        f"it is recorded beside it{what}. `bgit adopt {bake.base_name}` makes it the current model"
    )


def _taken_back(
    git: Git, bake: RecordedBake, known: Mapping[str, str]
) -> list[RecordedBake] | None:
    """Return what a bake was made on and the branch has no longer, oldest first.

    None: what that was is not to be found.
    """
    missing: dict[str, RecordedBake] = {}
    link = bake.parent
    while link is not None and link.bake_id not in known and link.bake_id not in missing:
        block = _once_recorded(git, link.bake_id)
        if block is None:
            return None
        missing[link.bake_id] = recipe.read(link.bake_id, block)
        link = missing[link.bake_id].parent
    return list(missing.values())[::-1]


def _once_recorded(git: Git, bake_id: str) -> str | None:
    """Return the block of a bake from a commit that has or had it; None: there is none."""
    # The reflog knows what no branch leads to any more: a reset takes bakes back, too.
    added_or_removed = git.run(
        *("log", "--all", "--reflog", "-m", "--first-parent", "--format=%H"),
        *("-S", f">>> bake {bake_id}", "--", RECIPE),
    )
    for commit_id in added_or_removed.split():
        for blob in git.blobs([f"{commit_id}:{RECIPE}", f"{commit_id}^:{RECIPE}"]):
            try:
                found = recipe.blocks(blob.text).get(bake_id) if blob is not None else None
            except RepoError:
                continue  # damaged there; another commit may have it whole
            if found is not None:
                return found
    return None


def _still_launched(git: Git, configuration: Blob, launched: str) -> bool:
    return configuration.id == launched and not git.statuses([INPUT])


def _refreshed(git: Git, store: Store, journal: Journal, made: str, reporter: Reporter) -> str:
    """Refresh index and folder; where git cannot just now, the next command does."""
    try:
        commit.refresh(git, journal.head, made, OWN, reporter)
    except RepoError as error:
        reporter.note(
            f"recorded, but index and folder could not follow yet: {error.message}. "
            f"{f'{error.hint} ' if error.hint else ''}The next bgit command does it."
        )
        return made
    store.pending(journal.key).unlink(missing_ok=True)
    if journal.action == "record":
        job.mark_recorded(
            store, git.common_dir, journal.branch, journal.bake_id, made, note=reporter.note
        )
    return made


def _wait(git: Git, store: Store, journal: Journal, reporter: Reporter) -> None:
    subject, branch = journal.message.split("\n")[0], journal.branch
    if git.ask("rev-parse", "-q", "--verify", f"refs/heads/{branch}") is None:
        store.pending(journal.key).unlink(missing_ok=True)
        reporter.note(
            f"`{subject}` waited for branch {branch!r}, which is gone; weights stay in the store"
        )
    else:
        reporter.note(f"`{subject}` waits for branch {branch!r}: `git switch {branch}`")


def _is_made(git: Git, journal: Journal, commit_id: str) -> bool:
    if journal.action in MOVES and commit_id == journal.head:
        return False
    bread, blob = git.blobs([f"{commit_id}:{BREAD}", f"{commit_id}:{RECIPE}"])
    current = state.parse(bread.text).parent if bread is not None else None
    blocks = recipe.blocks(blob.text) if blob is not None else {}
    return journal.is_made(blocks, str(current or ""))


def _link(model: ModelRef | None) -> tuple[str, int] | None:
    """Return what makes a parent the same one, whatever it is called."""
    return (model.bake_id, model.step) if model else None


def _message(result: Mapping[str, Any], model: ModelRef) -> str:
    card = Card.from_data(result.get("card") or {})
    measured = (
        f" (KL {card.kl_before:.3g} → {card.kl_after:.3g})"
        if card.kl_before is not None and card.kl_after is not None
        else ""
    )
    parent = result.get("parent")
    verb = result.get("joined", {}).get("by", "bake")
    return (
        f"{verb}: {model.given_name}{measured}\n\n"
        f"Model:  {model}\n"
        f"Parent: {parent['model'] if parent else result['base']['name'] + ' (base model)'}\n"
        f"Digest: sha256:{result['digest']}\n"
    )
