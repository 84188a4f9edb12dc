"""The tree of bakes over all branches and tags, nested by each bake's own parent.

Everything is read from git's objects, each distinct file once, in one `git cat-file --batch`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo import recipe, state
from bakery.repo.checks import BREAD, RECIPE
from bakery.repo.git import Blob, Git
from bakery.repo.recipe import RecordedBake


@dataclass(frozen=True, slots=True)
class Branch:
    """A place that models are reached from. `model` is None at the base model."""

    name: str
    model: ModelRef | None
    is_current: bool = False
    is_remote: bool = False
    is_tag: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A bake, what stands at it, and what was baked on top of it."""

    bake: RecordedBake
    branches: tuple[str, ...]
    tags: tuple[str, ...]
    is_current: bool
    children: tuple[Node, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lineage:
    """All bakes that some branch or tag knows.

    A root whose bake has a parent is one whose parent no branch knows any more.
    """

    base: str
    current: ModelRef | None
    branches: tuple[Branch, ...]
    roots: tuple[Node, ...]
    bakes: Mapping[str, RecordedBake]
    """By id."""
    problems: tuple[str, ...]
    """What could not be read, a sentence each."""

    @property
    def at_base(self) -> tuple[Branch, ...]:
        """What stands at the base model itself."""
        return tuple(branch for branch in self.branches if branch.model is None)

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Return every node with its depth, parents first."""
        waiting = [(0, node) for node in reversed(self.roots)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += [(depth + 1, child) for child in reversed(node.children)]


def read(git: Git, base: str) -> Lineage:
    """Return the lineage of a repository; `base` is the name of its base model."""
    refs = _refs(git)
    files = _files(git, [ref for ref, _ in refs])
    bakes: dict[str, RecordedBake] = {}
    branches: list[Branch] = []
    problems: list[str] = []
    seen: set[str] = set()
    for (_, branch), (bread, recipe_blob) in zip(refs, files, strict=True):
        if bread is None:
            continue  # a branch of something else, e.g. of web pages
        try:
            model = state.parse(bread.text, f"{branch.name}:{BREAD}").parent
            if recipe_blob is not None and recipe_blob.id not in seen:
                seen.add(recipe_blob.id)
                _gather(recipe_blob, f"{branch.name}:{RECIPE}", bakes)
        except RepoError as error:
            problems.append(error.message)
            continue
        branches.append(
            Branch(branch.name, model, branch.is_current, branch.is_remote, branch.is_tag)
        )
    branches = _without_copies(branches)
    current = next((branch.model for branch in branches if branch.is_current), None)
    return Lineage(base, current, tuple(branches), _tree(bakes, branches), bakes, tuple(problems))


def _refs(git: Git) -> list[tuple[str, Branch]]:
    """Return what leads to models: the current place first, then branches, remotes, tags."""
    here = git.branch()
    refs = [("HEAD", Branch(here or "HEAD", None, is_current=True))] if git.head() else []
    out = git.run(
        "for-each-ref", "--format=%(refname)%09%(symref)", "refs/heads", "refs/remotes", "refs/tags"
    )
    for line in out.splitlines():
        ref, symref = line.split("\t")
        _, kind, name = ref.split("/", 2)
        if symref or (kind == "heads" and name == here):
            continue
        refs.append((ref, Branch(name, None, is_remote=kind == "remotes", is_tag=kind == "tags")))
    return refs


def _files(git: Git, refs: Sequence[str]) -> list[tuple[Blob | None, Blob | None]]:
    """Return .bread and recipe.yml at each ref, reading every distinct blob once."""
    ids = git.ids([f"{ref}:{path}" for ref in refs for path in (BREAD, RECIPE)])
    distinct = list(dict.fromkeys(i for i in ids if i is not None))
    known = dict(zip(distinct, git.blobs(distinct), strict=True))
    found = [known[i] if i is not None else None for i in ids]
    return list(zip(found[::2], found[1::2], strict=True))


def _gather(blob: Blob, source: str, bakes: dict[str, RecordedBake]) -> None:
    for bake_id, block in recipe.blocks(blob.text, source).items():
        if bake_id not in bakes:
            bakes[bake_id] = recipe.read(bake_id, block, source)


def _without_copies(branches: Sequence[Branch]) -> list[Branch]:
    """Leave out a remote branch where the local one of that name stands at the same model."""
    local = {(b.name, b.model) for b in branches if not b.is_remote and not b.is_tag}
    return [
        b for b in branches if not (b.is_remote and (b.name.partition("/")[2], b.model) in local)
    ]


def _tree(bakes: Mapping[str, RecordedBake], branches: Sequence[Branch]) -> tuple[Node, ...]:
    children: dict[str | None, list[str]] = {}
    for bake in bakes.values():
        parent = bake.parent.bake_id if bake.parent and bake.parent.bake_id in bakes else None
        children.setdefault(parent, []).append(bake.id)
    order = list(children.get(None, ()))
    for bake_id in order:  # grows while it is read: parents before children
        order += children.get(bake_id, ())
    nodes: dict[str, Node] = {}
    here: dict[str, list[Branch]] = {}
    for branch in branches:
        if branch.model is not None:
            here.setdefault(branch.model.bake_id, []).append(branch)
    for bake_id in reversed(order):
        marks = here.get(bake_id, [])
        nodes[bake_id] = Node(
            bakes[bake_id],
            branches=tuple(b.name for b in marks if not b.is_tag),
            tags=tuple(b.name for b in marks if b.is_tag),
            is_current=any(b.is_current for b in marks),
            children=tuple(nodes[child] for child in children.get(bake_id, ())),
        )
    return tuple(nodes[bake_id] for bake_id in children.get(None, ()))
