"""The tree of bakes over all branches, as people look for models in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.text import Text
from rich.tree import Tree

from bakery.repo.lineage import Lineage, Node
from bakery.repo.recipe import RecordedBake
from bakery.ui.console import lay, note, open_console, show_json


def show_tree(lineage: Lineage, *, as_json: bool = False) -> None:
    """Print every bake under the one it was baked on; a star marks the current model."""
    if as_json:
        show_json(_tree_data(lineage))
        return
    out = open_console()
    base = [b.name for b in lineage.at_base if not b.is_tag]
    tags = [b.name for b in lineage.at_base if b.is_tag]
    at_base = any(branch.is_current for branch in lineage.at_base)
    tree = Tree(_label(lineage.base, base, tags, is_current=at_base), guide_style="dim")
    path = [tree]
    for depth, node in lineage.walk():
        branch = path[depth].add(_node_label(node, depth))
        path = [*path[: depth + 1], branch]
    lay(out, tree)
    for problem in lineage.problems:
        note(f"left out: {problem}")
    if not lineage.bakes:
        note("nothing is baked yet")


def _node_label(node: Node, depth: int) -> Text:
    text = f"{node.bake.name}/{node.bake.model.step}"
    label = _label(text, node.branches, node.tags, is_current=node.is_current)
    if depth == 0 and node.bake.parent is not None:
        label.append(f"  (baked on {node.bake.parent}, which no branch has)", style="yellow")
    return label


def _label(text: str, branches: Sequence[str], tags: Sequence[str], *, is_current: bool) -> Text:
    label = Text(f"{text}", style="bold green" if is_current else "")
    if is_current:
        label.append(" *")
    for branch in branches:
        label.append(f"  [{branch}]", style="not bold cyan")
    for tag in tags:
        label.append(f"  <{tag}>", style="not bold yellow")
    return label


def _tree_data(lineage: Lineage) -> dict[str, Any]:
    """Return the tree flat, parents first: it may be deeper than a JSON reader goes."""
    bakes = [
        _bake_data(node.bake)
        | {"branches": node.branches, "tags": node.tags, "is_current": node.is_current}
        for _, node in lineage.walk()
    ]
    return {
        "base": lineage.base,
        "current": lineage.current,
        "branches": lineage.branches,
        "bakes": bakes,
        "problems": lineage.problems,
    }


def _bake_data(bake: RecordedBake) -> dict[str, Any]:
    return {
        "name": bake.name,
        "id": bake.id,
        "model": bake.model,
        "models": bake.models,
        "parent": bake.parent,
        "digest": bake.digest,
    }
