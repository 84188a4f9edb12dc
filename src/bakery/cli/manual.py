"""The page of a command: what it is for, its options, examples; kept beside the commands as text.

Usage and options come from the command itself, so a page holds only what nobody can derive.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from importlib import resources
from typing import Any

import click

WIDTH = 80
"""Columns of a page, where the terminal has them."""

EXAMPLES, SEE_ALSO = "EXAMPLES", "SEE ALSO"


def page(name: str, command: click.Command) -> str:
    """Return the page of one command."""
    context = click.Context(command, info_name=f"bgit {name}", help_option_names=["-h", "--help"])
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    about, further = _paragraphs(command.help or ""), written(name)
    first = about[0] if about else ""
    parts = [
        ("NAME", _indented([f"bgit {name} - {first}"], width)),
        ("SYNOPSIS", _indented([f"bgit {name} {_takes(command, context)}"], width)),
        ("DESCRIPTION", _indented([*about, *_paragraphs(further[""])], width)),
        ("OPTIONS", _options(command, context, width)),
        (EXAMPLES, textwrap.indent(further[EXAMPLES], "    ")),
        (SEE_ALSO, _indented([_see_also(further[SEE_ALSO])], width)),
    ]
    return "\n\n".join(f"{title}\n{text.rstrip()}" for title, text in parts if text.strip()) + "\n"


def written(name: str) -> dict[str, str]:
    """Return what a page's file says: its text under "", examples, related commands."""
    file = resources.files("bakery.cli").joinpath("pages", f"{name}.txt")
    text = file.read_text(encoding="utf-8")
    found = re.split(rf"^({EXAMPLES}|{SEE_ALSO})\n", text, flags=re.MULTILINE)
    return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}


def _takes(command: click.Command, context: click.Context) -> str:
    return " ".join(command.collect_usage_pieces(context))


def _options(command: click.Command, context: click.Context, width: int) -> str:
    rows: list[Any] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:
            what = textwrap.fill(
                record[1], width, initial_indent=" " * 8, subsequent_indent=" " * 8
            )
            rows.append(f"    {record[0]}\n{what}")
    return "\n".join(rows)


def _see_also(names: str) -> str:
    return ", ".join(f"`bgit help {name}`" for name in names.split())


_LISTED = re.compile(r"(\S+ {2,})\S")
"""The beginning of a line of a list: a word, and blanks up to what it means."""


def _paragraphs(text: str) -> list[str]:
    """Return paragraphs in one line each; a list keeps its lines."""
    parts = (part.strip("\n") for part in text.split("\n\n") if part.strip())
    return [
        part if any(map(_LISTED.match, part.split("\n"))) else " ".join(part.split())
        for part in parts
    ]


def _indented(paragraphs: list[str], width: int) -> str:
    return "\n\n".join(
        "\n".join(_line(line, width) for line in part.split("\n")) for part in paragraphs
    )


def _line(line: str, width: int) -> str:
    """Return a line in as many as it takes, of a list under what the first word means."""
    listed = _LISTED.match(line)
    behind = " " * len(listed[1]) if listed else ""
    return textwrap.fill(
        line, width, initial_indent="    ", subsequent_indent="    " + behind,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
