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
from bakery.repo.files.split import Shared, id_of
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.repo.history import recipe_cache
from bakery.repo.history.recipe_cache import Kept, Recipe


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
    ids = _ids(git, refs)
    kept, problems = _read(git, refs, ids)
    places = _states(refs, ids, kept)
    sources: dict[str, str] = {}
    for ref, place in refs:
        _, found = places.get(ref, (None, None))
        if found is not None:
            sources.setdefault(found, place.name)
    bakes, histories, damaged = _recipes(sources, kept)
    problems += damaged
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
    refs: Sequence[tuple[str, Branch]], ids: Mapping[str, tuple[str | None, str | None]], kept: Kept
) -> dict[str, tuple[State | RepoError, str | None]]:
    """Return by ref what .bread says wherever there is one, and the blob of recipe.yml."""
    found: dict[str, tuple[State | RepoError, str | None]] = {}
    for ref, place in refs:
        bread_id, recipe_id = ids[ref]
        text = kept.states.get(bread_id or "")
        if text is None:
            continue
        try:
            found[ref] = state.parse(text, f"{place.name}:{BREAD}"), recipe_id
        except RepoError as error:
            found[ref] = error, recipe_id
    return found


def _ids(git: Git, refs: Sequence[tuple[str, Branch]]) -> dict[str, tuple[str | None, str | None]]:
    """Return by ref the blobs of .bread and recipe.yml."""
    ids = git.ids([f"{ref}:{path}" for ref, _ in refs for path in (BREAD, RECIPE)])
    pairs = zip(ids[::2], ids[1::2], strict=True)
    return {ref: pair for (ref, _), pair in zip(refs, pairs, strict=True)}


def _read(
    git: Git, refs: Sequence[tuple[str, Branch]], ids: Mapping[str, tuple[str | None, str | None]]
) -> tuple[Kept, list[str]]:
    """Return what the files of all refs hold, from the cache or from git, and what cannot be read.

    One call reads both files of every ref, as git stores the one as its difference to the other.
    """
    before = recipe_cache.load(git)
    shared = Shared(before.blocks)
    kept, problems, size = Kept(shared.blocks), [], 0
    wanted: dict[str, str] = {}
    for ref, place in refs:
        bread_id, recipe_id = ids[ref]
        if bread_id is None:
            continue  # a branch of something else, e.g. of web pages
        for blob, path in ((bread_id, BREAD), (recipe_id, RECIPE)):
            if blob is not None:
                wanted.setdefault(blob, f"{place.name}:{path}")
    for blob in wanted:
        if blob in before.states:
            kept.states[blob] = before.states[blob]
        elif blob in before.recipes:
            kept.recipes[blob] = before.recipes[blob]
    missing = [blob for blob in wanted if not (blob in kept.states or blob in kept.recipes)]
    for found in git.stream(missing):
        source = wanted[found.id]
        size += len(found.data)
        if source.endswith(f":{BREAD}"):
            kept.states[found.id] = found.text
            continue
        try:
            header, blocks = shared.take_apart(found.data, source)
        except RepoError as error:
            problems.append(error.message)
            continue
        kept.recipes[found.id] = Recipe(header if recipe.former_of(header) else "", blocks)
    if size >= recipe_cache.LEAST_BYTES:
        recipe_cache.save(git, kept)
    return kept, problems


def _recipes(
    sources: Mapping[str, str], kept: Kept
) -> tuple[dict[str, RecordedBake], dict[str, tuple[FormerBake, ...]], list[str]]:
    """Return the bakes of recipes (blob: whose), what each has of another tool, and problems."""
    bakes: dict[str, RecordedBake] = {}
    histories: dict[str, tuple[FormerBake, ...]] = {}
    problems: list[str] = []
    ids = [id_of(block) for block in kept.blocks]
    for blob, source in sources.items():
        found = kept.recipes.get(blob)
        if found is None:
            continue
        try:
            for number in found.blocks:
                if (bake_id := ids[number]) not in bakes:
                    block = kept.blocks[number]
                    bakes[bake_id] = recipe.read(bake_id, block, f"{source}:{RECIPE}")
        except RepoError as error:
            problems.append(error.message)
            continue
        former = recipe.former_of(found.header) if found.header else None
        histories[blob] = former.bakes if former else ()
    return bakes, histories, problems


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


def chain_of(bakes: Mapping[str, RecordedBake], model: ModelRef | None) -> tuple[RecordedBake, ...]:
    """Return what a model was made of, oldest first, as far as these bakes (by id) know it."""
    chain: dict[str, RecordedBake] = {}
    while model is not None and model.bake_id in bakes and model.bake_id not in chain:
        bake = bakes[model.bake_id]
        chain[bake.id] = bake
        model = bake.parent
    return tuple(reversed(chain.values()))
