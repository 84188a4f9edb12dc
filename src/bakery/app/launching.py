"""How an export in GGUF is run: the lines for llama.cpp, Ollama and LM Studio."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote
from typing import Any

MODEL, ADAPTER = "model.gguf", "adapter.gguf"
BASE = "base"
"""The folder beside an adapter's that its base is looked for in, where that is no GGUF file."""
MODELFILE, VERIFIED = "Modelfile", "verified.json"

_NAME = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class InGguf:
    """What was written, and how near it came to the model when it was read back."""

    file: str
    stored: str
    """How most of the weights are stored."""
    verified: Mapping[str, Any]
    """What verified.json holds."""
    notes: tuple[str, ...]
    base_file: str | None = None
    """The file that a LoRA goes on. None: a whole model, or a base that is in no such file yet."""

    @property
    def is_lora(self) -> bool:
        """Whether it is an adapter alone."""
        return self.file == ADAPTER

    def as_data(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "file": self.file,
            "stored": self.stored,
            "verified": dict(self.verified),
            "notes": list(self.notes),
        }

    def sentence(self) -> str:
        """Say how near it came."""
        found = self.verified
        same, of = found["greedy_equal"], found["prompts"]
        return (
            f"Read back by {found['by']}: {same} of {of} greedy answers are the same, the "
            f"likeliest tokens differ by at most {found['worst_logprob']:.2g} nats (mean "
            f"{found['mean_logprob']:.2g}), weights by {found['worst_weight']:.2g} of their largest"
        )


def usage(found: InGguf, folder: str, name: str, *, base: str = "base") -> list[tuple[str, str]]:
    """Return what to type to use an export: (with what, commands).

    `base` is what `bgit download` calls the model that a LoRA goes on.
    """
    at = PurePosixPath(folder)
    file, called = quote(str(at / found.file)), _NAME.sub("-", name.lower()).strip("-.") or "baked"
    create = f"ollama create {called} -f {quote(str(at / MODELFILE))}\nollama run {called}"
    if not found.is_lora:
        return [
            ("llama.cpp", f"llama-server -m {file}"),
            ("Ollama", create),
            ("LM Studio", f"lms import --copy {file}"),
        ]
    if found.base_file is None:
        beside = at.parent / BASE
        return [
            ("the base, once", f"bgit download {base} --format gguf --out {quote(str(beside))}"),
            ("llama.cpp", f"llama-server -m {quote(str(beside / MODEL))} --lora {file}"),
            ("Ollama", create),
        ]
    return [
        ("llama.cpp", f"llama-server -m {quote(found.base_file)} --lora {file}"),
        ("Ollama", create),
    ]
