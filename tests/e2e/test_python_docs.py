"""What is shown to Python users runs as it stands."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import bakery
from tools.run_notebook import run

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples/first_bake.ipynb"


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for the file: what is baked twice is baked once."""
    folder = tmp_path_factory.getbasetemp() / "python_docs"
    monkeypatch.setenv("BAKERY_CACHE", str(folder))


def examples(object_: Any) -> str:
    """Return the indented code of a docstring."""
    text = inspect.getdoc(object_) or ""
    blocks = re.findall(r"(?:^|\n)\n((?:    [^\n]*\n?)+)", text)
    return "\n".join(textwrap.dedent(block) for block in blocks)


def test_the_ten_line_recipe_runs_and_is_the_one_in_the_readme(capfd: Any) -> None:
    recipe = (ROOT / "recipes/quick.py").read_text("utf-8")
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert recipe.split('"""\n\n', 1)[1] in shown
    subprocess.run([sys.executable, ROOT / "recipes/quick.py"], check=True)
    out = capfd.readouterr().out
    assert "  base      A banana is yellow.\n  prompted  Hmm. Yellow, a banana is.\n" in out


@pytest.mark.slow
def test_the_blocks_of_the_page_run_in_their_order() -> None:
    page = (ROOT / "docs/python.md").read_text("utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(block, names)
    assert names["force"].result["parent"]["digest"] == names["bake"].result["digest"]


def test_the_examples_of_docstrings_run() -> None:
    names: dict[str, Any] = {"bakery": bakery}
    assert examples(bakery.bake)
    exec(examples(bakery.bake), names)
    names["bake"].save("my-adapter")
    exec(examples(bakery.load), names)


def test_the_notebook_runs_and_shows_what_it_shows() -> None:
    book = json.loads(NOTEBOOK.read_text("utf-8"))
    before = [cell.get("outputs") for cell in book["cells"]]
    run(book)
    shown = json.dumps(book)
    assert "Hmm. Yellow, a banana is. The Force, I feel." in shown
    assert str(Path.home()) not in json.dumps(before)
    assert all(outputs or outputs is None for outputs in before)
