"""Simulate a thousand bakes a day for a hundred thousand repositories, and print what they need.

    make scale        (or: python -m scale, from tools/; --write puts the tables into docs/scale.md)

Each input is printed with where it is from; `--set gpu_hour=2.5 readers=20` counts with others.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "scale.md"
MARKS = ("<!-- The tables of `make scale` stand between these two lines. -->", "<!-- end -->")


def main(given: list[str] | None = None) -> None:
    """Print the tables, or write them to where people read them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=NUMBER", help="other inputs")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/scale.md")
    asked = parser.parse_args(given)
    from scale import inputs, tables

    if asked.write and asked.set:
        parser.error("--write takes the inputs as they are")
    try:
        values = {name: float(value) for name, _, value in (s.partition("=") for s in asked.set)}
        text = tables.text(inputs.read().changed(**values))
    except (KeyError, ValueError) as error:
        parser.error(str(error.args[0]))
    print(text)
    if asked.write:
        PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), text), encoding="utf-8")
        print(f"\nwritten: {PAGE.relative_to(ROOT)}")


def written(page: str, text: str) -> str:
    """Return the page with the tables between its marks."""
    pattern = re.compile(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE} has no line {MARKS[0]}")
    block = f"{MARKS[0]}\n```text\n{text}\n```\n{MARKS[1]}"
    return pattern.sub(lambda _: block, page)


if __name__ == "__main__":
    main()
