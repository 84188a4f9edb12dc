"""What a repository needs of its store: by every branch, tag, stash, reflog entry and working tree.

What recipes name, and what the input.yml of each of these places would find there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.records import ModelRef
from bakery.repo.files import recipe, state
from bakery.repo.files.emptied import has_active_lines
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.split import Shared, id_of
from bakery.repo.git import Git
from bakery.repo.model_repo import ModelRepo, Place

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan

_UNDER_WAY = ("ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD")
"""What git keeps of an operation that is going on, or was the last."""


@dataclass(slots=True)
class Needed:
    """The ids of what is needed, and why that may not be all."""

    stims: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    bakes: set[str] = field(default_factory=set)
    complete: set[str] = field(default_factory=set)
    """Of these, what they were made of is counted, too."""
    unclear: list[str] = field(default_factory=list)
    """What could not be read: it may need anything."""

    def add_block(self, block: str) -> None:
        """Add what a bake that a recipe records was made of, and what it was made on."""
        bake = recipe.read(id_of(block), block)
        self.bakes.add(bake.id)
        self.add_model(bake.parent)
        for target in bake.part("targets") or ():
            self.stims.add(target["stim_id"])
            self.targets.add(target["id"])
            self.complete |= {bake.id, target["id"]}

    def add_model(self, model: ModelRef | None) -> None:
        """Add the bake of a model."""
        if model is not None:
            self.bakes.add(model.bake_id)

    def add_plan(self, plan: Plan) -> None:
        """Add what a run would make, or find made, and what it would start from."""
        for target in plan.targets:
            self.stims.add(target.stim.id)
            self.targets.add(target.rollout.id)
            self.complete.add(target.rollout.id)
            self.add_model(target.rollout.parent)
        if plan.bake is not None:
            self.bakes.add(plan.bake.id)
            self.targets |= {share.id for share in plan.bake.shares}
        self.add_model(plan.head.parent)
        for model in plan.head.models.values():
            self.add_model(model)


def needed(repo: ModelRepo) -> Needed:
    """Return what a repository needs, with all of its working trees."""
    found = Needed()
    commits = _commits(repo.git)
    _add_commits(found, repo, commits)
    for git in _worktrees(repo.git, found):
        tree = ModelRepo(git)
        _add_folder(found, tree)
        for place in ("index", "worktree"):
            _add_plan(found, tree, place, f"{INPUT} in {git.root} ({place})")
    return found


def add_commit(found: Needed, repo: ModelRepo, commit: str, where: str) -> None:
    """Add what the input.yml of a commit would find made."""
    _add_plan(found, ModelRepo(repo.git, at=commit, backend=repo.backend), "index", where)


def _commits(git: Git) -> list[str]:
    """Return the commits that refs, reflogs and working trees stand at, or that git has in hand."""
    found = git.run("rev-list", "--no-walk", "--all", "--reflog").split()
    # A stash is a merge of what was added and of what was not; the reflog has only the merge.
    found += (git.ask("log", "-g", "--format=%P", "refs/stash") or "").split()
    trees = git.run("worktree", "list", "--porcelain").splitlines()
    found += [line.removeprefix("HEAD ") for line in trees if line.startswith("HEAD ")]
    found += [commit for commit in git.ids(["HEAD", *_UNDER_WAY]) if commit is not None]
    return [commit for commit in dict.fromkeys(found) if commit.strip("0")]


def _worktrees(git: Git, found: Needed) -> Iterator[Git]:
    """Yield the working trees that are there; of one that is not, what it needs is unclear."""
    for line in git.run("worktree", "list", "--porcelain").splitlines():
        path = Path(line.removeprefix("worktree "))
        if not line.startswith("worktree "):
            continue
        if not path.is_dir():
            found.unclear.append(
                f"the working tree {path} is not there (`git worktree prune` forgets it, "
                "`git worktree repair` finds it where it was moved to)"
            )
            continue
        with suppress(RepoError):  # git's own folder, of a bare repository
            yield Git.find(path)


def _add_commits(found: Needed, repo: ModelRepo, commits: Collection[str]) -> None:
    git = repo.git
    ids = git.ids([f"{commit}:{path}" for commit in commits for path in (BREAD, RECIPE, INPUT)])
    rows = dict(zip(commits, zip(ids[::3], ids[1::3], ids[2::3], strict=True), strict=True))
    rows = {commit: row for commit, row in rows.items() if row[0] is not None}
    _add_recipes(found, git, {row[1]: commit for commit, row in rows.items() if row[1]})
    inputs = _active(git, {row[2] for row in rows.values() if row[2]})
    planned: set[tuple[str | None, ...]] = set()
    for commit, row in rows.items():
        text = git.blob(str(row[0]))
        if text is not None:
            try:
                found.add_model(state.parse(text.text).parent)
            except BakeryError as error:
                found.unclear.append(f"{commit[:10]}:{BREAD}: {error.message}")
        if row[2] in inputs and row not in planned:
            planned.add(row)
            add_commit(found, repo, commit, f"{commit[:10]}:{INPUT}")


def _add_recipes(found: Needed, git: Git, recipes: Mapping[str, str]) -> None:
    shared = Shared()
    for blob in git.stream(list(recipes)):
        try:
            shared.take_apart(blob.data, f"{recipes[blob.id][:10]}:{RECIPE}")
        except BakeryError as error:
            found.unclear.append(error.message)
    _add_blocks(found, shared.blocks)


def _add_blocks(found: Needed, blocks: Collection[str]) -> None:
    for block in blocks:
        try:
            found.add_block(block)
        except BakeryError as error:
            found.unclear.append(error.message)


def _active(git: Git, blobs: set[str]) -> set[str]:
    """Return those of some input.yml that configure anything."""
    return {blob.id for blob in git.stream(sorted(blobs)) if has_active_lines(blob.text)}


def _add_folder(found: Needed, tree: ModelRepo) -> None:
    """Add what the recipe in a folder names, committed or not."""
    try:
        found.add_model(tree.state().parent)
        for bake in tree.bakes():
            found.add_block(bake.block)
    except BakeryError as error:
        if (tree.root / BREAD).exists():  # else it has another branch checked out
            found.unclear.append(f"in {tree.root}: {error.message}")


def _add_plan(found: Needed, repo: ModelRepo, place: Place, where: str) -> None:
    """Add a plan. What is no valid configuration could not be run, and needs nothing.

    Where it is only what it names that cannot be found, it could be run once.
    """
    if place == "index" and repo.at is None and not repo.git.run("ls-files", "-s", "--", INPUT):
        return  # it is not added
    try:
        plan = repo.plan(place)
    except ConfigError as error:
        if isinstance(error.__cause__, BakeryError):
            found.unclear.append(f"{where}: {error.message}")
        return
    except BakeryError as error:
        if (repo.root / INPUT).exists() or repo.at is not None:
            found.unclear.append(f"{where}: {error.message}")
        return
    found.add_plan(plan)
