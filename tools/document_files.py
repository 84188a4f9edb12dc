"""Writes docs/files.md: every module with its first line, folder by folder.

python tools/document_files.py
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "files.md"
PLACES = ("src/bakery", "recipes", "benchmarks", "tools", "tests/support")

INTRO = """\
# Every file, by its first line

`make docs` writes this page from the first line of each module. [architecture.md](architecture.md)
says how data flows through them, and who may import whom.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the whole page."""
    lines = [line for place in PLACES for line in _folders(ROOT / place)]
    return "\n".join([INTRO, *lines]).rstrip("\n") + "\n"


def _folders(folder: Path) -> Iterator[str]:
    """Yield a folder's heading and its modules, and then the folders in it."""
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    inner = sorted(path.parent for path in folder.glob("*/*.py"))
    about = first_line(folder / "__init__.py")
    yield f"## {folder.relative_to(ROOT).as_posix()}\n"
    if about:
        yield f"{about}\n"
    for path in modules:
        yield f"- `{path.name}`: {first_line(path)}"
    if modules:
        yield ""
    for each in dict.fromkeys(inner):
        yield from _folders(each)


def first_line(path: Path) -> str:
    """Return what a module says of itself; "" where it says nothing, or is not there."""
    if not path.is_file():
        return ""
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return said.partition("\n")[0]


if __name__ == "__main__":
    main()
