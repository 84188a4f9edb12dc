"""The merge driver of .bread, recipe.yml and input.yml, and how a clone comes to use it.

Git asks it for a file that both sides changed: in a merge, squash, rebase, cherry-pick or revert.
A recipe becomes the union of its blocks, less those that one side took back; the current model
stays the one of this side; a configuration is taken from the side that has one. Whatever else
both sides changed is git's own conflict.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bakery.errors import RepoError
from bakery.records import ModelRef, write_atomic
from bakery.repo.files import hosted, recipe, state
from bakery.repo.files.emptied import emptied, has_active_lines
from bakery.repo.files.names import BREAD, INPUT, RECIPE
from bakery.repo.files.state import State
from bakery.repo.git import Git, merge_texts

_DRIVER = "merge.bgit.driver"

# Above what .gitattributes says: repositories exist in which that names another driver, or none.
_ATTRIBUTES = "# How bgit merges its files.\n" + "".join(
    f"/{path} merge=bgit\n" for path in (BREAD, RECIPE, INPUT)
)


@dataclass(frozen=True, slots=True)
class Merged:
    """What a file becomes. Where not `is_clean`, a person decides: by git's marks, or by a note."""

    text: str
    is_clean: bool = True
    notes: tuple[str, ...] = ()


class _ConflictError(Exception):
    """What only a person can decide."""


def install(git: Git) -> None:
    """Make this clone merge by this driver; where its files cannot be written, git merges as text.

    -P: no module is ever taken from the folder that is merged.
    """
    python = shlex.quote(Path(sys.executable).as_posix()).replace("%", "%%")
    driver = f"{python} -P -m bakery.cli.merge_driver %O %A %B %P %L"
    if git.ask("config", "--local", "--get", _DRIVER) != driver:
        git.ask("config", "--local", "merge.bgit.name", "bgit: recipes by their blocks")
        git.ask("config", "--local", _DRIVER, driver)
    path = git.common_dir / "info" / "attributes"
    try:
        known = path.read_text(encoding="utf-8") if path.exists() else ""
        if _ATTRIBUTES not in known:
            gap = "" if not known or known.endswith("\n") else "\n"
            write_atomic(path, f"{known}{gap}{_ATTRIBUTES}")
    except (OSError, UnicodeDecodeError):
        return


def merge(path: str, base: str, ours: str, theirs: str) -> Merged:
    """Return what a file becomes of which both sides changed what the base said."""
    by_name = {BREAD: _bread, RECIPE: _recipe, INPUT: _input}
    base, ours, theirs = (text.replace("\r\n", "\n") for text in (base, ours, theirs))
    try:
        (base + ours + theirs).encode()
        return by_name[PurePosixPath(path).name](base, ours, theirs)
    except UnicodeEncodeError:
        notes: tuple[str, ...] = (f"{path} is merged as text, as one side is not UTF-8",)
    except _ConflictError:
        notes = ()
    except RepoError as error:
        notes = (f"{path} is merged as text, as one side is not what bgit wrote: {error.message}",)
    except KeyError:
        notes = ()
    try:
        text, clean = merge_texts(base, ours, theirs)
    except RepoError as error:  # binary data, which git merges as little
        return Merged(ours, False, (f"{path} is left as it is on this side: {error.message}",))
    # Files that cannot be read are never declared merged.
    return Merged(text, clean and not notes, notes)


def _bread(base: str, ours: str, theirs: str) -> Merged:
    """Take what one side changed; of two current models keep ours, and say how to take theirs."""
    if hosted.is_bread(base):  # both sides have gone on from it since
        base = ""
    before, here, there = (
        state.parse(text).parent if text else None for text in (base, ours, theirs)
    )
    parent = there if here == before else here
    texts = [state.with_parent(text, parent) if text else "" for text in (base, ours, theirs)]
    text, clean = merge_texts(*texts)
    merged = state.parse(text) if clean else None
    if merged and (merged.parent != parent or _is_of_another_base(merged, ours, theirs, parent)):
        raise _ConflictError
    notes: tuple[str, ...] = ()
    if there not in (before, parent):
        other = there.bake if there else "base"
        notes = (
            f"the model stays {parent or 'the base model'}. `bgit merge --weights` and the same "
            f"branch adds the weights of {there or 'the base model'}; `bgit adopt {other}` takes "
            "them instead",
        )
    return Merged(text, clean, notes)


def _is_of_another_base(merged: State, ours: str, theirs: str, parent: ModelRef | None) -> bool:
    """Tell whether a current model would stand on a base that it was not made on."""
    mine = state.parse(ours)
    of = mine if mine.parent == parent else state.parse(theirs)
    return merged.base.digest != of.base.digest


def _input(base: str, ours: str, theirs: str) -> Merged:
    """Take the side that has a configuration, unless the other side has baked just that."""
    mine, other = has_active_lines(ours), has_active_lines(theirs)
    if mine and other:
        raise _ConflictError
    if other and emptied(theirs) != ours:
        return Merged(theirs)
    if mine and emptied(ours) == theirs:
        return Merged(theirs)
    return Merged(ours)


def _recipe(base: str, ours: str, theirs: str) -> Merged:
    """Return the union of the blocks, parents first, then ours, then theirs."""
    recorded = [{bake.id: bake for bake in recipe.parse(text)} for text in (ours, theirs)]
    before, here, there = (recipe.blocks(text) for text in (base, ours, theirs))
    every = {**there, **here}
    parents = {bake.id: bake.parent for bakes in reversed(recorded) for bake in bakes.values()}
    gone = {i for i in before if (i in here) != (i in there)}
    kept = _with_ancestors((i for i in (*here, *there) if i not in gone), parents)
    order = _parents_first([i for i in (*here, *(t for t in there if t not in here)) if i in kept],
                           parents)  # fmt: skip
    chosen = {
        i: there[i] if i in there and (i not in here or here[i] == before.get(i)) else every[i]
        for i in order
    }
    notes = [
        f"{_name(recorded, i)} comes along: what is merged was baked on it"
        for i in order
        if i in gone and i in there
    ]
    contested = [i for i in order if i in gone and i in here]
    notes += [
        f"{_name(recorded, i)} is taken back by the other side, but more was baked on it here, so "
        f"it stays in {RECIPE}: `git add {RECIPE}` accepts that, `bgit revert` can take back all"
        for i in contested
    ]
    notes += [
        f"{_name(recorded, i)} has other weights on each side: ours are recorded"
        for i in order
        if i in here and i in there and _digests(recorded, i) == 2
    ]
    outside, told = _outside(base, ours, theirs)
    text = _with_blocks(ours, here, chosen, outside)
    return Merged(text, not contested, (*notes, *told))


def _with_ancestors(ids: Iterable[str], parents: Mapping[str, ModelRef | None]) -> set[str]:
    """Return bakes with all that they were baked on, as far as it is known."""
    kept: set[str] = set()
    for bake_id in ids:
        at: str | None = bake_id
        while at is not None and at in parents and at not in kept:
            kept.add(at)
            parent = parents[at]
            at = parent.bake_id if parent else None
    return kept


def _parents_first(ids: list[str], parents: Mapping[str, ModelRef | None]) -> list[str]:
    """Return ids in their order, each behind the one it was baked on."""
    wanted, order = set(ids), dict[str, None]()
    for bake_id in ids:
        line: list[str] = []
        at: str | None = bake_id
        while at is not None and at in wanted and at not in order and at not in line:
            line.append(at)
            parent = parents[at]
            at = parent.bake_id if parent else None
        order.update(dict.fromkeys(reversed(line)))
    return list(order)


def _outside(base: str, ours: str, theirs: str) -> tuple[str | None, tuple[str, ...]]:
    """Return what stands outside the blocks (None: what ours has), and what to say of it."""
    before, here, there = (recipe.outside(text) for text in (base, ours, theirs))
    if there in (before, here):
        return None, ()
    if here == before:
        return there, ()
    text, clean = merge_texts(before, here, there)
    if clean:
        return text, ()
    if _without_history(here) != _without_history(there):
        raise _ConflictError
    return None, (f"`former:` of {RECIPE} stays as on this side; theirs is in their commits",)


def _without_history(outside: str) -> str:
    """Return a recipe without blocks and without what another tool had written."""
    head, _, rest = outside.partition("\nformer:")
    return f"{head}{rest[rest.find(chr(10) + 'resources:') :]}"


def _with_blocks(
    text: str, present: Mapping[str, str], wanted: Mapping[str, str], outside: str | None
) -> str:
    """Return a recipe that holds the wanted blocks in order; text between them stays there."""
    stays = [i for i in wanted if i in present]
    in_place = outside is None and list(wanted)[: len(stays)] == stays == [
        i for i in present if i in wanted
    ]
    if not in_place:
        text = recipe.outside(text) if outside is None else outside
        for block in wanted.values():
            text = recipe.append(text, block)
        return text
    text = recipe.remove(text, [i for i in present if i not in wanted])
    for bake_id, block in wanted.items():
        if bake_id not in present:
            text = recipe.append(text, block)
        elif block != present[bake_id]:
            text = text.replace(present[bake_id], block, 1)
    return text


def _name(recorded: Iterable[Mapping[str, recipe.RecordedBake]], bake_id: str) -> str:
    return next(bakes[bake_id].name for bakes in recorded if bake_id in bakes)


def _digests(recorded: Iterable[Mapping[str, recipe.RecordedBake]], bake_id: str) -> int:
    return len({bakes[bake_id].digest for bakes in recorded if bake_id in bakes})
