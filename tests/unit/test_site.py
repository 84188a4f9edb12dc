"""The site shows every page, and only links that lead somewhere in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import bakery
from tools import site_pages

ROOT = Path(__file__).parents[2]
PAGES = {path.name for path in (ROOT / "docs").glob("*.md")} | {*site_pages.TOP.values(), "api.md"}


class Pages:
    """The files of a site, as its hook asks for them."""

    def get_file_from_path(self, path: str) -> str | None:
        return path if path in {*PAGES, "speed.svg"} else None


def shown(markdown: str) -> str:
    return site_pages.on_page_markdown(markdown, None, None, Pages())


def test_every_page_is_in_the_menu_once():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted(pages(config["nav"])) == sorted(PAGES)


def pages(menu: Any) -> list[str]:
    """Return the pages of a menu, at any depth."""
    if isinstance(menu, str):
        return [menu]
    items = menu.values() if isinstance(menu, dict) else menu
    return [page for item in items for page in pages(item)]


@pytest.mark.parametrize(
    ("written", "shown_as"),
    [
        ("[keys](input-yml.md#target)", "[keys](input-yml.md#target)"),
        ("[one file](../recipes/bake_loop.py)", "one file"),
        ("[start](../README.md)", "[start](index.md)"),
        ("![speed](speed.svg)", "![speed](speed.svg)"),
        ("[paper](https://arxiv.org/abs/1)", "[paper](https://arxiv.org/abs/1)"),
        ("## PROMPT.<name>.tools", "## PROMPT.&lt;name>.tools {: #promptnametools }"),
    ],
)
def test_a_link_leads_to_a_page_of_the_site_or_is_text(written, shown_as):
    assert shown(written) == shown_as


def test_the_python_page_has_every_public_name():
    assert site_pages.public_names() == bakery.__all__
    assert all(f"::: bakery.{name}\n" in site_pages.api() for name in bakery.__all__)
