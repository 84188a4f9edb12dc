"""Pages of the site that are not in docs/: README, CHANGELOG, CONTRIBUTING and the Python API.

A hook of mkdocs (`mkdocs.yml`): nothing of it is written into docs/.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parents[1]
TOP = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
}
API = """\
# Python

`import bakery` loads no tensors: a name is imported when it is first used.

"""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)((?:#[^)]*)?)\)")
_KEY = re.compile(r"^(#{2,6}) (.*<\w+>.*)$", re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie elsewhere; their links go by the folder that the site shows."""
    from mkdocs.structure.files import File

    for source, page in TOP.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "api.md", content=api()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Keep the text of a link to what the site has no page of, such as a recipe."""

    def kept(match: re.Match[str]) -> str:
        image, text, target, _ = match.groups()
        named = TOP.get(target.removeprefix("../"), target)
        there = "://" in target or files.get_file_from_path(named) is not None
        if there:
            return match[0].replace(target, named)
        return match[0] if image else text

    return _KEY.sub(_anchored, _LINK.sub(kept, markdown))


def _anchored(heading: re.Match[str]) -> str:
    """Show `<name>` in a heading as text, and give it the anchor that GitHub gives it."""
    anchor = re.sub(r"\W", "", heading[2].lower())
    return f"{heading[1]} {heading[2].replace('<', '&lt;')} {{: #{anchor} }}"


def api() -> str:
    """Return a page with every public name of the package."""
    return API + "\n".join(f"::: bakery.{name}\n" for name in public_names())


def public_names() -> list[str]:
    """Return what `bakery.__all__` lists, read without importing it."""
    tree = ast.parse((ROOT / "src/bakery/__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise ValueError("bakery says nothing of what is public")
