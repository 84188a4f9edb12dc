"""What the licence of a base asks of whoever passes on a model that is made from it.

A reminder, and no legal advice: what is not known here is said to be unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bakery.plain import Plain

Kind = Literal["free", "terms", "closed", "unknown"]
"""`free`: passed on with its text. `terms`: it asks for more. `closed`: nothing that is changed may
be passed on."""

_NOTICE = "keep its text and notices beside the weights"

_FREE = {
    "apache-2.0": "name it, pass on its text and NOTICE, and say that the weights were changed",
    "mit": _NOTICE,
    "bsd-2-clause": _NOTICE,
    "bsd-3-clause": _NOTICE,
    "isc": _NOTICE,
    "cc-by-4.0": "name who made the base, and say that it was changed",
    "cc0-1.0": "nothing",
    "unlicense": "nothing",
    "wtfpl": "nothing",
}

_LLAMA = (
    "pass on its text and a Notice file, show “Built with Llama”, begin the name with “Llama”, and "
    "keep to its acceptable use policy"
)
_QWEN = "“Built with Qwen” or “Improved using Qwen”"
_TERMS = {
    "llama2": "pass on its text and a Notice file, and keep to its acceptable use policy",
    "llama3": _LLAMA,
    "llama3.1": _LLAMA,
    "llama3.2": _LLAMA,
    "llama3.3": _LLAMA,
    "llama4": _LLAMA,
    "gemma": "pass on its terms and its prohibited uses as terms of yours, with a Notice file",
    "cc-by-sa-4.0": "name who made the base, and pass it on under the same licence alone",
    "cc-by-nc-4.0": "nobody may use it commercially; name who made the base",
    "cc-by-nc-sa-4.0": "nobody may use it commercially, and the same licence alone may be given",
    "gpl-3.0": "pass it on under the same licence alone",
    "agpl-3.0": "pass it on under the same licence alone, also to who only asks it over a network",
    "openrail": "pass on its restrictions of use",
    "bigscience-openrail-m": "pass on its restrictions of use",
    "creativeml-openrail-m": "pass on its restrictions of use",
    "bigcode-openrail-m": "pass on its restrictions of use",
    "bigscience-bloom-rail-1.0": "pass on its restrictions of use",
    "qwen": f"pass on its text and a Notice file, and show {_QWEN}",
    "qwen-research": f"nobody may use it commercially; show {_QWEN}",
    "deepseek": "pass on its restrictions of use",
}
_CLOSED = ("cc-by-nd-4.0", "cc-by-nc-nd-4.0")


@dataclass(frozen=True, slots=True)
class Terms(Plain):
    """The licence of a base, and what it asks. `licence` None: nobody has said which it is."""

    licence: str | None
    kind: Kind
    asks: str

    def sentence(self, base: str) -> str:
        """Say it of a base by its name."""
        if self.licence is None:
            return f"nobody says under which licence {base} is: {self.asks}"
        return f"{base} is under {self.licence}, which asks: {self.asks}"


def of(licence: str | None) -> Terms:
    """Return what a licence asks, by what a hub calls it."""
    if licence is None:
        return Terms(
            None, "unknown", "read its page, and whether you may pass on what is made of it"
        )
    name = licence.strip().lower()
    if name in _FREE:
        return Terms(licence, "free", _FREE[name])
    if name in _TERMS:
        return Terms(licence, "terms", _TERMS[name])
    if name in _CLOSED:
        return Terms(licence, "closed", "nobody passes on anything that is made from it")
    return Terms(licence, "unknown", "read its text: bgit does not know what it asks")
