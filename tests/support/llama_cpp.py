"""A real llama.cpp, asked by tests: what it makes of a text, and what it says to ids.

It is the package xllamacpp of the extra `llama`; BAKERY_LLAMA_PYTHON names another Python with it.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).with_name("llama_server.py")
TOP = 20
NAMED = os.environ.get("BAKERY_LLAMA_PYTHON")  # read here: no test sees the user's variables


@functools.cache
def python() -> str | None:
    """Return a Python that has xllamacpp; None: there is none."""
    for found in (NAMED, sys.executable):
        if found:
            done = subprocess.run([found, "-c", "import xllamacpp"], capture_output=True)
            if done.returncode == 0:
                return found
    return None


def skip_without() -> None:
    """Skip a test where there is none."""
    if python() is None:
        pytest.skip("xllamacpp is not installed: `make test-llama`")


@dataclass(frozen=True, slots=True)
class Said:
    """Greedy ids, and the likeliest at each place with their log probabilities."""

    ids: list[int]
    top: list[dict[int, float]]


class Llama:
    """A model that llama.cpp has loaded."""

    def __init__(self, address: str) -> None:
        self.address = address

    def tokens(self, text: str) -> list[int]:
        """Return what it makes of a text, special tokens read as such."""
        asked = {"content": text, "parse_special": True, "add_special": False}
        return self._post("tokenize", asked)["tokens"]

    def rendered(self, messages: Sequence[dict[str, str]]) -> str:
        """Return what it makes of messages by the chat template."""
        return self._post("apply-template", {"messages": list(messages)})["prompt"]

    def says(self, ids: Sequence[int], most: int = 16) -> Said:
        """Return what it says to ids, greedily."""
        found = self._post(
            "completion",
            {"prompt": list(ids), "n_predict": most, "temperature": 0.0, "n_probs": TOP,
             "return_tokens": True, "cache_prompt": False, "samplers": ["temperature"]},
        )  # fmt: skip
        top = [
            {one["id"]: one["logprob"] for one in place["top_logprobs"]}
            for place in found.get("completion_probabilities", [])
        ]
        return Said(found["tokens"], top)

    def _post(self, path: str, asked: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.address}/{path}",
            json.dumps(asked).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)


@contextmanager
def llama(file: Path, lora: Path | None = None) -> Iterator[Llama]:
    """Have llama.cpp load a file, and a LoRA on it."""
    found = python()
    assert found is not None
    words = [found, str(PROGRAM), str(file), *([str(lora)] if lora else [])]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            process.wait()
            log.seek(0)
            raise AssertionError(f"llama.cpp did not load {file}: {log.read()[-2000:]}")
        try:
            yield Llama(address)
        finally:
            process.kill()
