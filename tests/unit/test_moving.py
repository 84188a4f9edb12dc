"""The page for those who come from the closed tool: every feature and defect has its tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")
FEATURES = [f"F{number:02}" for number in range(1, 34)]
DEFECTS = [f"X{number}" for number in range(1, 18)]


def rows() -> dict[str, list[str]]:
    """Return the cells of every row that begins with the name of a feature or defect."""
    lines = re.findall(r"^\| ([FX]\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in lines}


def defined() -> set[str]:
    """Return every test there is, as `file::name`."""
    return {
        f"{path.name}::{name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    }


def test_every_feature_and_every_defect_has_one_row():
    assert re.findall(r"^\| ([FX]\d+) \|", PAGE, re.MULTILINE) == FEATURES + DEFECTS


@pytest.mark.parametrize("name", FEATURES + DEFECTS)
def test_a_row_says_what_it_is_how_it_is_here_and_which_tests_show_it(name):
    what, here, tests = rows()[name]
    assert what
    assert here
    assert re.fullmatch(r"`test_\w+\.py::test_\w+`( `test_\w+\.py::test_\w+`)*", tests)


def test_every_test_that_is_named_exists():
    there = defined()
    named = set(re.findall(r"`(test_\w+\.py::test_\w+)`", PAGE))
    moved = {
        gone: [now for now in there if now.endswith(f"::{gone.partition('::')[2]}")]
        for gone in named - there
    }
    assert moved == {}
