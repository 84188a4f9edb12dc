"""The options of a command, read from its source: to import it would take longer than a keypress.

A test holds them against those that click has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent

SHARED = {
    "row_options": "questions",
    "evaluation_options": "evaluating",
    "process_options": "spreading",
}
"""Decorators that add options, and the modules that they are in."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, what it is for, and whether a value follows."""

    names: tuple[str, ...]
    what: str
    takes_value: bool
    may_take: bool = False
    """Whether a value may follow, and need not."""


def of(module: str) -> list[Option]:
    """Return the options of the command in a module of this folder, in their order."""
    tree = ast.parse(HERE.joinpath(f"{module}.py").read_text(encoding="utf-8"))
    found: list[Option] = []
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for decorator in function.decorator_list:
            if isinstance(decorator, ast.Name) and decorator.id in SHARED:
                found += _all_in(SHARED[decorator.id])
            elif isinstance(decorator, ast.Call):
                found += _option(decorator)
    return [*found, Option(("-h", "--help"), "Show this message and exit.", False)]


def _all_in(module: str) -> list[Option]:
    tree = ast.parse(HERE.joinpath(f"{module}.py").read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [option for call in calls for option in _option(call)]


def _option(call: ast.Call) -> Iterator[Option]:
    """Yield what `click.option(...)` adds; nothing where a call is something else."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "option"):
        return
    words = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    names = [name for word in words if word.startswith("-") for name in word.split("/")]
    said = {keyword.arg: keyword.value for keyword in call.keywords}
    optional = _is(said.get("is_flag"), False)
    flag = _is(said.get("is_flag"), True) or optional or any("/" in word for word in words)
    yield Option(tuple(names), _text(said.get("help")), not flag, optional)


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _text(node: ast.expr | None) -> str:
    """Return the constant parts of a help text."""
    if node is None:
        return ""
    parts = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return "".join(part for part in parts if isinstance(part, str))
