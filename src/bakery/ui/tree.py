"""The tree of bakes over all branches, and what becomes of a branch that adopts another's model."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from bakery.repo.files.hosted import FormerBake
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Branch, Lineage, Node
from bakery.ui.console import MISSING_WEIGHTS, is_unicode, note, open_console, say, show_json
from bakery.ui.harmless import harmless

if TYPE_CHECKING:
    from bakery.app.adopt import Adopted

_MOST_PLACES = 6
"""Branches and tags that are named beside one model; `--json` has all."""

_UNICODE, _ASCII = ("├── ", "└── ", "│   ", "    "), ("+-- ", "`-- ", "|   ", "    ")


@dataclass(frozen=True, slots=True)
class _Item:
    """One line of a tree: a name that may be shortened, what stands behind it, what hangs on it."""

    name: str
    marks: Text
    is_current: bool = False
    more: int = 0
    """How many more models the bake gave."""
    style: str = ""
    children: list[_Item] = field(default_factory=list)


def show_tree(lineage: Lineage, *, as_json: bool = False) -> None:
    """Print every bake under the one it was baked on; a star marks the current model."""
    if as_json:
        show_json(lineage.as_data())
        return
    out = open_console()
    _print_tree(out, _base_item(lineage))
    if lineage.former:
        say("\nbaked by another tool; the weights are with the vendor:")
        for item in _former_items(lineage):
            _print_tree(out, item)
    for problem in lineage.problems:
        note(f"left out: {problem}")
    if not lineage.bakes and not lineage.former:
        note("nothing is baked yet")


def show_adopted(adopted: Adopted) -> None:
    """Say which model is current now, and what the recipe got with it."""
    for added in adopted.added:
        say(f"recorded here, too: {added}")
    model = adopted.model or f"the base model {adopted.base.name}"
    if adopted.source and adopted.before == str(adopted.model):
        say(f"{model} is the current model already; its weights are here now")
    else:
        say(f"the model is now {model}  (commit {adopted.commit[:10]}; it was {adopted.before})")
    if adopted.source:
        say(f"from {adopted.source}")
    if adopted.model is None:
        say("The next bake starts anew from it. What is recorded stays recorded.")
    if not adopted.has_weights:
        note(f"its weights are not in this clone's store: {MISSING_WEIGHTS}")


def _base_item(lineage: Lineage) -> _Item:
    at_base = any(branch.is_current for branch in lineage.at_base)
    root = _Item(lineage.base, _marks(lineage.at_base), at_base)
    path = [root]
    bases = {node.bake.id: node.bake.part("base") or {} for node in lineage.roots}
    several = len({base.get("digest") for base in bases.values()}) > 1
    for depth, node in lineage.walk():
        item = _node_item(node, depth)
        name = bases[node.bake.id].get("name") if several and depth == 0 else None
        if name not in (None, lineage.base):
            item.marks.append(f"  (on {name})", style="yellow")
        path[depth].children.append(item)
        path[depth + 1 :] = [item]
    return root


def _node_item(node: Node, depth: int) -> _Item:
    bake = node.bake
    marks = _marks(node.places, bake)
    if depth == 0 and bake.parent is not None:
        marks.append(f"  (baked on {bake.parent}, which no branch has)", style="yellow")
    if joined := bake.joined_from:
        names = ", ".join(dict.fromkeys(model.given_name for model in joined))
        marks.append(f"  (from {names})", style="not bold dim")
    more = len(bake.models) - 1
    return _Item(f"{bake.name}/{bake.model.step}", marks, node.is_current, more)


def _marks(places: Sequence[Branch], bake: RecordedBake | None = None) -> Text:
    """Return the branches and the tags that stand behind a name."""
    marks = Text()
    for place in sorted(places, key=lambda p: (not p.is_current, p.is_tag))[:_MOST_PLACES]:
        label = place.name
        if bake is not None and place.model is not None and place.model.step != bake.model.step:
            label += f" at {place.model.step}"
        if place.worktree and not place.is_current and place.worktree not in label:
            label += f" in {os.path.relpath(place.worktree)}"
        style = "yellow" if place.is_tag else "dim cyan" if place.is_remote else "cyan"
        marks.append(f"  <{label}>" if place.is_tag else f"  [{label}]", style=f"not bold {style}")
    if len(places) > _MOST_PLACES:
        marks.append(f"  and {len(places) - _MOST_PLACES} more", style="dim")
    return marks


def _former_items(lineage: Lineage) -> list[_Item]:
    """Return the trees of what another tool had baked, nested as far as its parents are known."""
    items = {bake.name: _former_item(lineage, bake) for bake in lineage.former}
    named = {model: bake.name for bake in lineage.former for model in bake.models}
    roots: list[_Item] = []
    for bake in lineage.former:
        parent = named.get(bake.parent or "", bake.parent or "")
        above = items.get(parent) if parent != bake.name else None
        (above.children if above else roots).append(items[bake.name])
    return roots


def _former_item(lineage: Lineage, bake: FormerBake) -> _Item:
    here = [p for p in lineage.branches if p.former_model and p.former_model in bake.models]
    current = any(place.is_current for place in here)
    return _Item(bake.label, _marks(here), current, max(len(bake.models) - 1, 0), "dim")


def _print_tree(out: Console, root: _Item) -> None:
    """Print a tree; where it is too wide, a lone child stays in the column of its parent."""
    signs = _UNICODE if is_unicode(out) else _ASCII
    rows = list(_rows(root, signs, flat=False))
    nested = rows
    width = out.width
    if any(_width(first, item) > width for first, _, item in rows):
        flat = list(_rows(root, signs, flat=True))
        if max(cell_len(row[0]) for row in flat) < max(cell_len(row[0]) for row in rows):
            rows = flat
    lines = [line for row in rows for line in _lines(out, width, *row)]
    if sys.stdout.isatty():
        out.print(Text("\n").join(lines), soft_wrap=True)
    else:
        print(harmless("\n".join(line.plain.rstrip() for line in lines)))
    if rows is not nested:
        note("of two models in one column, the lower one was baked on the upper one")


def _rows(root: _Item, signs: Sequence[str], *, flat: bool) -> Iterator[tuple[str, str, _Item]]:
    """Return every item with what its first line begins with, and each further line."""
    tee, elbow, bar, blank = signs
    waiting = [("", "", root)]
    while waiting:
        first, following, item = waiting.pop()
        yield first, following + (bar if item.children else blank), item
        lone = flat and len(item.children) == 1
        for index, child in enumerate(reversed(item.children)):
            before = ("", "") if lone else (elbow, blank) if index == 0 else (tee, bar)
            waiting.append((following + before[0], following + before[1], child))


def _width(first: str, item: _Item) -> int:
    return cell_len(first) + cell_len(item.name + _sign(item)) + item.marks.cell_len


def _sign(item: _Item) -> str:
    return (f" +{item.more}" if item.more else "") + (" *" if item.is_current else "")


def _lines(out: Console, width: int, first: str, following: str, item: _Item) -> Iterator[Text]:
    """Return an item's lines; too long a name loses its middle, marks that do not fit go below."""
    room = max(width - cell_len(first), 20)
    sign = _sign(item)
    name = _shortened(item.name, room - len(sign)) + sign
    style = "bold green" if item.is_current else item.style
    line = Text.assemble((first, "dim"), (name, style))
    if cell_len(name) + item.marks.cell_len <= room:
        yield line.append_text(item.marks)
        return
    yield line
    marks = item.marks[2 if item.marks.plain.startswith("  ") else 0 :]
    for part in marks.wrap(out, max(width - cell_len(following) - 2, 20)):
        yield Text.assemble((following, "dim"), "  ", part)


def _shortened(name: str, room: int) -> str:
    """Return a name that fits: first its id loses half its digits, then the name its middle."""
    if cell_len(name) <= room:
        return name
    bake, _, step = name.rpartition("/")
    called, _, digits = bake.rpartition("_")
    tail = f"_{digits[:8]}…/{step}" if called and step else ""
    head = called if tail else name
    left = room - cell_len(tail)
    if cell_len(head) <= left:
        return head + tail
    half = max((left - 1) // 2, 1)
    return f"{head[:half]}…{head[-half:]}{tail}"
