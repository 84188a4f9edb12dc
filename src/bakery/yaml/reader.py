"""YAML that may come from anywhere, read without harm to the process."""

from __future__ import annotations

import re
from typing import Any

import yaml

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DEEPEST = 100
"""Far more than any recipe has; some readers end the whole process at some tens of thousands."""

# What may be an alias; an indentation, or signs of lists in one line, that may lie too deep.
_RISKY = re.compile(r"\*\S|^ {100}|(?:[-?:][ \t]+){20}", re.MULTILINE)

_OPENS = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSES = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def load(text: str | bytes, *, aliases: bool = False) -> Any:
    """Return what YAML says; a YAMLError where it is nested without end.

    `aliases`: whether one part may stand for another. A few of them can mean more than fits in
    any memory, and bgit writes none.
    """
    if isinstance(text, bytes) or _may_harm(text):
        _check(text, aliases)
    return yaml.load(text, Loader=_LOADER)


def _may_harm(text: str) -> bool:
    """Tell whether a text has to be looked through first: that takes as long as reading it."""
    return text.count("[") + text.count("{") > DEEPEST or _RISKY.search(text) is not None


def _check(text: str | bytes, aliases: bool) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, _OPENS):
            depth += 1
        elif isinstance(event, _CLOSES):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent) and not aliases:
            raise yaml.YAMLError(f"*{event.anchor} stands for another part: bgit writes no aliases")
        if depth > DEEPEST:
            raise yaml.YAMLError(f"it is nested deeper than {DEEPEST} levels")
