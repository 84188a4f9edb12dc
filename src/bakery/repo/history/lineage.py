"""The tree of bakes over all branches and tags, nested by each bake's own parent.

Everything is read from git's objects: each distinct file once, each distinct block once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bakery.errors import RepoError
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.files import recipe, state
from bakery.repo.files.hosted import FormerBake, merged
from bakery.repo.files.names import BREAD, RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.repo.history import recipe_cache
from bakery.repo.history.recipe_cache import Recipe


@dataclass(frozen=True, slots=True)
class Branch:
    """A place that models are reached from. `model` is None at the base model.

    `former_model` is what stands there where another tool wrote the files; `worktree` is the
    folder of another working tree that has it checked out.
    """

    name: str
    model: ModelRef | None
    is_current: bool = False
    is_remote: bool = False
    is_tag: bool = False
    worktree: str | None = None
    former_model: str | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A bake, what stands at it, and what was baked on top of it."""

    bake: RecordedBake
    places: tuple[Branch, ...]
    children: tuple[Node, ...] = field(repr=False)

    @property
    def branches(self) -> tuple[str, ...]:
        """The names of the branches that stand at it."""
        return tuple(place.name for place in self.places if not place.is_tag)

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags that stand at it."""
        return tuple(place.name for place in self.places if place.is_tag)

    @property
    def is_current(self) -> bool:
        """Whether it is the model of the branch that is checked out here."""
        return any(place.is_current for place in self.places)


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
    former: tuple[FormerBake, ...] = ()
    """What another tool had baked: its weights are with the vendor."""

    @property
    def at_base(self) -> tuple[Branch, ...]:
        """What stands at the base model itself."""
        return tuple(b for b in self.branches if b.model is None and b.former_model is None)

    def chain(self, model: ModelRef | None) -> tuple[RecordedBake, ...] | None:
        """Return what a model was baked from, oldest first; None where a link is missing."""
        links: dict[str, RecordedBake] = {}
        while model is not None:
            bake = self.bakes.get(model.bake_id)
            if bake is None or bake.id in links:
                return None
            links[bake.id] = bake
            model = bake.parent
        return tuple(reversed(links.values()))

    def walk(self) -> Iterator[tuple[int, Node]]:
        """Return every node with its depth, parents first."""
        waiting = [(0, node) for node in reversed(self.roots)]
        while waiting:
            depth, node = waiting.pop()
            yield depth, node
            waiting += [(depth + 1, child) for child in reversed(node.children)]

    def as_data(self) -> dict[str, Any]:
        """Return the tree flat, parents first: it may be deeper than a JSON reader goes."""
        bakes = [
            {key: getattr(node.bake, key) for key in _OF_A_BAKE}
            | {"branches": node.branches, "tags": node.tags, "is_current": node.is_current}
            for _, node in self.walk()
        ]
        data = {
            "base": self.base,
            "current": self.current,
            "branches": self.branches,
            "bakes": bakes,
            "problems": self.problems,
            "former": self.former,
        }
        return {key: plain(value) for key, value in data.items()}


_OF_A_BAKE = ("name", "id", "model", "models", "parent", "digest")


def read(git: Git, base: str, *, branch: str | None = None) -> Lineage:
    """Return the lineage of a repository, or of one of its branches or tags.

    `base` is the name of its base model.
    """
    refs = _refs(git) if branch is None else _only(_refs(git), branch)
    places = _states(git, refs)
    sources: dict[str, str] = {}
    for ref, place in refs:
        _, found = places.get(ref, (None, None))
        if found is not None:
            sources.setdefault(found, place.name)
    bakes, histories, problems = _recipes(git, sources)
    branches: list[Branch] = []
    former_bakes: list[FormerBake] = []
    for ref, place in refs:
        if ref not in places:
            continue  # a branch of something else, e.g. of web pages
        here, recipe_id = places[ref]
        if isinstance(here, RepoError):
            problems.append(here.message)
            continue
        if recipe_id is not None and recipe_id not in histories:
            continue  # it could not be read: a problem
        branches.append(replace(place, model=here.parent, former_model=here.former_parent))
        former_bakes += histories.get(recipe_id or "", ())
    branches = _without_copies(branches)
    current = next((place.model for place in branches if place.is_current), None)
    return Lineage(
        base,
        current,
        tuple(branches),
        _tree(bakes, branches),
        bakes,
        tuple(problems),
        merged(*former_bakes),
    )


def _refs(git: Git) -> list[tuple[str, Branch]]:
    """Return what leads to models: the current place first, then branches, remotes, tags."""
    here = git.branch()
    refs = [("HEAD", Branch(here or "HEAD", None, is_current=True))] if git.head() else []
    out = git.run(
        "for-each-ref",
        "--format=%(refname)%09%(symref)%09%(worktreepath)",
        *("refs/heads", "refs/remotes", "refs/tags"),
    )
    for line in filter(None, out.split("\n")):
        ref, symref, worktree = line.split("\t", 2)
        _, kind, name = ref.split("/", 2)
        if symref or (kind == "heads" and name == here):
            continue
        place = Branch(name, None, is_remote=kind == "remotes", is_tag=kind == "tags")
        refs.append((ref, replace(place, worktree=worktree or None)))
    return refs + _detached_worktrees(git)


def _detached_worktrees(git: Git) -> list[tuple[str, Branch]]:
    """Return the other working trees that stand at a commit, not at a branch."""
    if not (git.common_dir / "worktrees").is_dir():
        return []
    found = []
    for entry in git.run("worktree", "list", "--porcelain").split("\n\n"):
        lines = dict(line.partition(" ")[::2] for line in entry.split("\n"))
        path = lines.get("worktree", "")
        if "detached" in lines and "HEAD" in lines and path != str(git.root):
            found.append((lines["HEAD"], Branch(f"HEAD of {path}", None, worktree=path)))
    return found


def _only(refs: Sequence[tuple[str, Branch]], name: str) -> list[tuple[str, Branch]]:
    chosen = [(ref, place) for ref, place in refs if place.name == name]
    if chosen:
        return chosen
    near = difflib.get_close_matches(name, [place.name for _, place in refs], n=3)
    raise RepoError(
        f"there is no branch or tag {name!r}",
        hint=f"Did you mean {' or '.join(near)}?"
        if near
        else "`git branch -a` lists the branches.",
    )


def _states(
    git: Git, refs: Sequence[tuple[str, Branch]]
) -> dict[str, tuple[State | RepoError, str | None]]:
    """Return by ref what .bread says wherever there is one, and the blob of recipe.yml."""
    ids = git.ids([f"{ref}:{path}" for ref, _ in refs for path in (BREAD, RECIPE)])
    distinct = list(dict.fromkeys(i for i in ids[::2] if i is not None))
    known = dict(zip(distinct, git.blobs(distinct), strict=True))
    found: dict[str, tuple[State | RepoError, str | None]] = {}
    for (ref, place), bread_id, recipe_id in zip(refs, ids[::2], ids[1::2], strict=True):
        bread = known.get(bread_id or "")
        if bread is None:
            continue
        try:
            found[ref] = state.parse(bread.text, f"{place.name}:{BREAD}"), recipe_id
        except RepoError as error:
            found[ref] = error, recipe_id
    return found


def _recipes(
    git: Git, sources: Mapping[str, str]
) -> tuple[dict[str, RecordedBake], dict[str, tuple[FormerBake, ...]], list[str]]:
    """Return the bakes of recipes (blob: whose), what each has of another tool, and problems."""
    recipes, problems = _taken_apart(git, sources)
    bakes: dict[str, RecordedBake] = {}
    histories: dict[str, tuple[FormerBake, ...]] = {}
    for blob, source in sources.items():
        found = recipes.get(blob)
        if found is None:
            continue
        try:
            for block in found.blocks:
                bake_id = recipe.id_of(block)
                if bake_id not in bakes:
                    bakes[bake_id] = recipe.read(bake_id, block, f"{source}:{RECIPE}")
        except RepoError as error:
            problems.append(error.message)
            continue
        kept = recipe.former_of(found.header) if found.header else None
        histories[blob] = kept.bakes if kept else ()
    return bakes, histories, problems


def _taken_apart(git: Git, sources: Mapping[str, str]) -> tuple[dict[str, Recipe], list[str]]:
    """Return recipes by blob, from the cache or from git, and what cannot be read."""
    kept = recipe_cache.load(git)
    recipes = {blob: kept[blob] for blob in sources if blob in kept}
    missing = [blob for blob in sources if blob not in kept]
    known: dict[str, bytes] = {}
    texts: dict[bytes, str] = {}
    problems: list[str] = []
    read = 0
    for blob in git.stream(missing):
        try:
            header, blocks = recipe.take_apart(blob.data, f"{sources[blob.id]}:{RECIPE}", known)
        except RepoError as error:
            problems.append(error.message)
            continue
        for block in blocks:
            if block not in texts:
                texts[block] = block.decode("utf-8", "replace")
        header = header if recipe.former_of(header) else ""
        recipes[blob.id] = Recipe(header, tuple(texts[block] for block in blocks))
        read += len(blob.data)
    if read >= recipe_cache.LEAST_BYTES:
        recipe_cache.save(git, recipes)
    return recipes, problems


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
        nodes[bake_id] = Node(
            bakes[bake_id],
            places=tuple(here.get(bake_id, ())),
            children=tuple(nodes[child] for child in children.get(bake_id, ())),
        )
    return tuple(nodes[bake_id] for bake_id in children.get(None, ()))
