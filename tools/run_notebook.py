"""Run a notebook's cells in one namespace, and keep what they show.

    python tools/run_notebook.py examples/first_bake.ipynb [--check]

Writes outputs as Jupyter does: what is printed, and the last expression as text and HTML. With
--check nothing is written: it ends with an error where a cell does.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any


def main() -> None:
    """Run one notebook."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    book = json.loads(asked.notebook.read_text("utf-8"))
    run(book)
    if not asked.check:
        text = json.dumps(book, indent=1, ensure_ascii=False)
        asked.notebook.write_text(text + "\n", encoding="utf-8")


def run(book: dict[str, Any]) -> None:
    """Run the code cells of a notebook, and put what they show into it."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        printed = io.StringIO()
        # Progress goes to stderr: it is for whoever waits, and no part of a document.
        with redirect_stdout(printed), redirect_stderr(io.StringIO()):
            value = _value("".join(cell["source"]), names)
        cell["execution_count"] = number
        cell["outputs"] = [*_printed(printed.getvalue()), *_shown(value, number)]


def _value(source: str, names: dict[str, Any]) -> Any:
    """Execute a cell; return what its last line is, where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    if not isinstance(last, ast.Expr):
        return None
    return eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


def _printed(text: str) -> list[dict[str, Any]]:
    return [{"output_type": "stream", "name": "stdout", "text": _lines(text)}] if text else []


def _shown(value: Any, number: int) -> list[dict[str, Any]]:
    if value is None:
        return []
    data = {"text/plain": _lines(repr(value))}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = _lines(value._repr_html_())
    kind = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
    return [kind | {"data": data}]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    main()
