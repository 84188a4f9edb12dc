"""How input.yml names models: which names an endpoint serves, and which are on this machine."""

from __future__ import annotations

import re
from typing import Literal

BASE = "base"
EMBEDDED = ("tiny", "tiny-1")
GGUF = ".gguf"
HOSTED = "hosted:"
"""In front of a name: an endpoint serves it, whatever it looks like."""

FAMILIES = {
    "Anthropic": ("claude",),
    "OpenAI": ("gpt-", "chatgpt-", "o1", "o3", "o4"),
}
"""How the names of hosted models begin, by who serves them. A bake may be called so, too."""

_BAKE = re.compile(r"_[0-9a-f]{16}$")
"""How the name of a bake ends: a name that does is never an endpoint's."""

Kind = Literal["base", "hosted", "local", "bake", "word"]


def kind_of(name: str) -> Kind:
    """Return what a name can mean.

    `local` is a folder, a GGUF file, the embedded model or a hub id, `bake` a full name of a model
    or bake. A `word` is a bake of the repository, where there is one of that name, and else a model
    of an endpoint: what is private never goes to a vendor for how it is called.
    """
    if name == BASE:
        return "base"
    if name.startswith(HOSTED):
        return "hosted"
    is_path = name.startswith((".", "/", "~")) or name.endswith(GGUF)
    if name in EMBEDDED or is_path or name.count("/") == 1:
        return "local"
    return "bake" if "/" in name or _BAKE.search(name) else "word"


def served_as(name: str) -> str:
    """Return the name by which an endpoint knows a model."""
    return name.removeprefix(HOSTED)
