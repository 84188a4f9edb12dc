"""Bakes as people look for them: the list of a branch, and the tree over all branches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from bakery.records import ModelRef
from bakery.repo.lineage import Lineage, Node
from bakery.repo.recipe import RecordedBake
from bakery.repo.state import State
from bakery.ui.chart import number
from bakery.ui.console import arrow, lay, note, open_console, say, show_json


def show_models(bakes: Sequence[RecordedBake], state: State, *, as_json: bool = False) -> None:
    """Print the bakes of a branch, oldest first; a star marks the parent of the next one.

    Owner and repository are the same in every row, and stand above the table.
    """
    if as_json:
        show_json([_bake_data(bake) | _result(bake) for bake in bakes])
        return
    if not bakes:
        say(f"Nothing is baked yet: the model is {state.base.name} itself.")
        return
    out = open_console()
    say(f"in {state.owner}/{state.name}/")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", width=1)
    table.add_column("model", overflow="fold")
    table.add_column("KL to teacher", no_wrap=True)
    table.add_column("baked on", overflow="fold")
    for bake in bakes:
        current = state.parent is not None and state.parent.bake_id == bake.id
        table.add_row(
            "*" if current else "",
            Text(_short(bake.model, state), style="bold green" if current else ""),
            _divergence(bake, out),
            bake.parent.bake[:-17] if bake.parent else state.base.name,
        )
    lay(out, table)


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


def _short(model: ModelRef, state: State) -> str:
    """Return a model's name without what all models of the repository begin with."""
    return str(model).removeprefix(f"{state.owner}/{state.name}/")


def _divergence(bake: RecordedBake, out: Console) -> str:
    card = bake.data.get("card") or {}
    if card.get("kl_after") is None:
        return "-"
    return f"{number(card['kl_before'])} {arrow(out)} {number(card['kl_after'])}"


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


def _result(bake: RecordedBake) -> dict[str, Any]:
    return {key: bake.data.get(key) for key in ("card", "loss", "seconds", "finished")}
