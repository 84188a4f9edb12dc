"""YAML that every reader reads as it was meant: what recipe.yml is written in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, no anchors, every text quoted that could be read as else."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


# Text that every YAML version reads as itself without quotes, or as one of true, false and null.
_BARE = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[./-][A-Za-z0-9_]+)*")
_WORDS = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null"])
# Several lines that may stand as they are: nothing a reader would change, no blanks at line ends.
_LINES = re.compile(r"(?! )[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]*")


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    text = text.encode("utf-8", "replace").decode()  # half an emoji cannot be written
    style: str | None = '"'
    if _BARE.fullmatch(text) and text.lower() not in _WORDS:
        style = None
    elif text.strip() and _LINES.fullmatch(text) and text.strip() == text.removesuffix("\n"):
        style = "'" if "\n" not in text else '"' if " \n" in text else "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump(data: Any) -> str:
    """Return data as block YAML without the last line end."""
    text = yaml.dump(
        _plain(data),
        Dumper=_Dumper,
        allow_unicode=True,
        sort_keys=False,
        width=1 << 30,
        default_flow_style=False,
    )
    return text.rstrip("\n")


def _plain(data: Any) -> Any:
    """Return mappings as dicts and sequences as lists."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, Sequence) and not isinstance(data, str):
        return [_plain(value) for value in data]
    return data
