"""The text of `bakery --help`: every setting, grouped, at 80 columns."""

from __future__ import annotations

import re
import textwrap
from dataclasses import Field, fields
from enum import Enum
from typing import Any

from bakery.distil.settings.parse import PARTS, default_of
from bakery.settings.config import hints
from bakery.settings.typed import type_name

GROUPS = (
    "Context", "Targets", "Trajectories", "Loss", "Data", "Model", "LoRA", "Evaluation", "Output",
    "Training",
)  # fmt: skip
WIDTH = 80
_OF_OURS = {"output_dir": "Output"}
_HEAD = """\
Usage: bakery --config FILE [--field value | --field=value ...]
       bakery eval OUTPUT_DIR [--help | ...]

Bake a context into a model: the teacher sees it, the student learns to do
without. FILE is flat YAML of the names below; flags override it. Lists are
several words or JSON; switches are --field, --no_field or --field true|false.
`bakery eval` measures what lies in an output_dir.

Options
  --config FILE
      The configuration.
  --dry-run
      Show some rows as teacher and student see them, and train nothing.
  --version
      Show the version.
  -h, --help
      Show this text.
"""


def help_text() -> str:
    """Return the whole help."""
    entries: dict[str, list[str]] = {group: [] for group in GROUPS}
    for part in PARTS:
        for item in fields(part):
            group = item.metadata.get("group") or _OF_OURS.get(item.name, "Training")
            entries[group].append(_entry(item, hints(part)[item.name]))
    titles = {"Training": "Training (transformers' TrainingArguments)"}
    parts = [f"{titles.get(group, group)}\n" + "".join(entries[group]) for group in GROUPS]
    return "\n".join([_HEAD, *parts])


def _entry(item: Field[Any], hint: Any) -> str:
    shown = _default(default_of(item))
    head = f"  --{item.name} {type_name(hint)}"
    lines = [head] if not shown else _with_default(head, shown)
    text = str(item.metadata.get("help", ""))
    text = text if "group" in item.metadata else _first_sentence(text)
    body = textwrap.fill(text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join([*lines, body]) + "\n"


def _with_default(head: str, shown: str) -> list[str]:
    line = f"{head} (default: {shown})"
    if len(line) <= WIDTH:
        return [line]
    return [
        head,
        *textwrap.wrap(
            f"(default: {shown})", WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
        ),
    ]


def _default(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _first_sentence(text: str) -> str:
    """Return the part of a help text that fits a list; transformers explains at length."""
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(text.split()), maxsplit=1)[0]
