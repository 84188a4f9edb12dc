"""What has to hold before a bake is made or recorded; every refusal says what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.repo.files import recipe, state
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.git import Git, plain_path

if TYPE_CHECKING:
    from bakery.repo.files.recipe import RecordedBake
    from bakery.repo.plan.planned import Plan

_UNDER_WAY = {
    "MERGE_HEAD": ("merge", "git merge"),
    "rebase-merge": ("rebase", "git rebase"),
    "rebase-apply": ("rebase", "git rebase"),
    "CHERRY_PICK_HEAD": ("cherry-pick", "git cherry-pick"),
    "REVERT_HEAD": ("revert", "git revert"),
    "sequencer": ("cherry-pick or revert", "git revert"),
}


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a branch stands: what has to be the same once something is made for it."""

    branch: str
    files: tuple[str | None, ...]
    """The blobs of .bread and recipe.yml."""


def stand(git: Git) -> Stand:
    """Return where the branch stands; RepoError where no commit could be made there."""
    branch = can_commit(git)
    own_files_are_clean(git)
    return Stand(branch, tuple(git.ids([f"HEAD:{path}" for path in (BREAD, RECIPE)])))


def unchanged(git: Git, began: Stand) -> None:
    """Refuse to record what was made for a branch that stands elsewhere now."""
    if stand(git) != began:
        raise RepoError(
            f"{BREAD} or {RECIPE} of branch {began.branch!r} has changed since, or another "
            "branch is checked out",
            hint="What was made is kept in the store: the same command again, on the branch "
            "that it is meant for, makes what is missing.",
        )


def can_record(git: Git, plan: Plan) -> None:
    """Refuse what would make a bake unrecordable, before anything expensive is done."""
    can_commit(git)
    own_files_are_clean(git)
    configuration_is_committed(git, [INPUT, *dict.fromkeys(map(plain_path, plan.sources))])


def base_is_the_first(git: Git, base: BaseModelId, bakes: Sequence[RecordedBake]) -> None:
    """Refuse a base model other than one that the repository was made, or baked, on.

    A base is what it contains: one that was moved or is called otherwise is still the same.
    """
    made_on: dict[str, str] = {}
    for digest, name in bases_of(bakes):
        made_on.setdefault(digest, name)
        if digest == base.digest:
            return
    made_on = made_on or _moved_to(git)
    if not made_on or base.digest in made_on:
        return
    digest, name = next(iter(made_on.items()))
    raise RepoError(
        f"{BREAD} names the base model {base.name} (digest {base.digest[:16] or 'missing'}), but "
        f"this repository was made on {name} (digest {digest[:16]})",
        hint=f"Bakes only fit the base they were made on. `git log -p -- {BREAD}` shows the lines "
        "that were changed: write them back, and `bgit commit` it. `bgit rebase --base-model REF` "
        "makes the bakes of this branch anew on another base.",
    )


def bases_of(bakes: Sequence[RecordedBake]) -> Iterator[tuple[str, str]]:
    """Yield digest and name of the bases that bakes lie on or learnt from, the newest first."""
    for bake in reversed(bakes):
        for told in (bake.part("base"), (bake.part("teacher") or {}).get("base")):
            if told:
                yield str(told["digest"]), str(told["name"])


def _moved_to(git: Git) -> dict[str, str]:
    """Return the base that the committed recipe was moved to, else the first one."""
    blob = git.blob(f"HEAD:{RECIPE}")
    moved = recipe.base_of(blob.text) if blob is not None else None
    return _first_base(git) if moved is None else {moved[1]: moved[0]}


def _first_base(git: Git) -> dict[str, str]:
    """Return the base that the first .bread named, as digest and name; empty: another tool's."""
    added = (git.ask("log", "--diff-filter=A", "--format=%H", "--", BREAD) or "").splitlines()
    for commit in reversed(added):
        blob = git.blob(f"{commit}:{BREAD}")
        try:
            first = state.parse(blob.text) if blob is not None else None
        except RepoError:
            continue  # Damaged then: a later one says it.
        if first is not None:
            return {} if first.is_former else {first.base.digest: first.base.name}
    return {}


def can_commit(git: Git) -> str:
    """Return the branch that a commit would go to; RepoError where none can be made."""
    for name, (what, command) in _UNDER_WAY.items():
        if (git.git_dir / name).exists():
            raise RepoError(
                f"a {what} is in progress",
                hint=f"End it with `{command} --continue`, or drop it with `{command} --abort`.",
            )
    branch = git.branch()
    if branch is None:
        raise RepoError(
            "HEAD is detached: a bake belongs to a branch",
            hint="`git switch <branch>`, or `git switch -c <new branch>` to start one here.",
        )
    if git.head() is None:
        raise RepoError(
            f"branch {branch!r} has no commits yet",
            hint='`bgit add -A`, then `bgit commit -m "Start"`.',
        )
    has_identity(git)
    return branch


def has_identity(git: Git) -> None:
    """Refuse where git does not know whose commits these are."""
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        if git.ask("var", who) is None:
            raise RepoError(
                "git does not know who you are",
                hint='`git config --global user.name "Your Name"` and '
                "`git config --global user.email you@example.org`.",
            )


def own_files_are_clean(git: Git) -> None:
    """Refuse where .bread or recipe.yml differ between HEAD, index and folder."""
    changed = sorted(git.statuses([BREAD, RECIPE]))
    if changed:
        raise RepoError(
            f"changed and not committed: {', '.join(changed)}",
            hint=f"bgit writes these. `git restore --staged --worktree -- {' '.join(changed)}` "
            "drops the change; `bgit commit` keeps it.",
        )


def configuration_is_committed(git: Git, paths: Sequence[str]) -> None:
    """Refuse where input.yml or a file that it names is not the same in HEAD, index and folder."""
    statuses = git.statuses(paths)
    committed = git.ids([f"HEAD:{path}" for path in paths])
    for path, blob in zip(paths, committed, strict=True):
        if blob is None and path not in statuses:
            raise RepoError(f"{path} is missing", hint=f"Write {path}, then `bgit add {path}`.")
    if not statuses:
        return
    add = [path for path, xy in statuses.items() if xy[1] != " "]
    gone = [path for path in add if not (git.root / path).exists()]
    if gone:
        raise RepoError(
            f"{', '.join(gone)}: deleted, and not committed",
            hint=f"`git restore --staged --worktree -- {_quoted(gone)}` brings it back.",
        )
    commit = '`bgit commit -m "<what is baked>"`'
    force = "-f " if "!!" in statuses.values() else ""
    first = f"`bgit add {force}{_quoted(add)}`, then " if add else ""
    raise RepoError(
        f"{', '.join(sorted(statuses))}: changed and not committed. A bake is made from what is "
        "committed, so that its configuration is never lost",
        hint=f"{first}{commit}.",
    )


def _quoted(paths: Sequence[str]) -> str:
    return " ".join(f'"{path}"' if " " in path else path for path in paths)
