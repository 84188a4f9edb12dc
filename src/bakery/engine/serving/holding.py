"""Answers that are held to a form: which tokens may come next, by a grammar in Lark's notation.

A grammar may be a stranger's, so it is bounded: in size, in what it may take to compile, which is
tried in a process that can be killed, and in what a step of an answer may take.
Shapes: V vocabulary.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llguidance
import numpy as np
import torch
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from llguidance.hf import from_tokenizer

from bakery.engine.serving import trial
from bakery.engine.text.chat import Chat
from bakery.errors import ConfigError

MOST_CHARACTERS = 1 << 15
COMPILING_CPU_S = 2
COMPILING_S = 20.0
"""What a grammar may take to compile; the second where the machine is busy."""

MOST_GRAMMARS = 64
"""Grammars that are kept compiled: an application asks for few, again and again."""

LIMITS: dict[str, Any] = {
    "step_lexer_fuel": 100_000,
    "step_max_items": 20_000,
    "max_lexer_states": 20_000,
    "verbose_errors": False,  # they would hold what was said
}
"""What one token may take, and how much memory a row; far above what forms of people need."""

_PLACE = re.compile(r"^at \d+\(\d+\): (?:failed to compile JSON schema: )?")
LONGEST_REASON = 300


class Holder:
    """Compiles grammars for the tokens of one model. Any thread may ask.

    `rows`: for how many tokens the model has embeddings. Making one takes up to a second of a
    large vocabulary, in which no other thread of Python goes on.
    """

    def __init__(self, chat: Chat, rows: int) -> None:
        self._rows = rows
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()
        self._tokens: LLTokenizer | None = None
        self.refused: str | None = None
        """Why answers of this model cannot be held to anything; None: they can."""
        try:
            ends = sorted(chat.end_ids)
            self._tokens = from_tokenizer(chat.tokenizer, n_vocab=rows, eos_token=ends)
        except Exception as error:  # of its own kinds, and of those of the library below
            self.refused = f"its tokenizer is none that can be: {_bounded(str(error))}"

    def knows(self, grammar: str) -> bool:
        """Tell whether a grammar is compiled already."""
        with self._lock:
            return grammar in self._kept

    def held(self, grammar: str, count: int) -> list[Held]:
        """Return what holds so many answers to a grammar; ConfigError says why nothing can."""
        with self._lock:
            found = self._kept.get(grammar)
        if found is None:
            found = self._compiled(grammar)
        with self._lock:
            self._kept[grammar] = found
            self._kept.move_to_end(grammar)
            if len(self._kept) > MOST_GRAMMARS:
                self._kept.popitem(last=False)
            return [Held(found.deep_copy(), self._rows) for _ in range(count)]

    def _compiled(self, grammar: str) -> LLMatcher:
        if self._tokens is None:
            raise ConfigError(f"answers of this model can be held to no form: {self.refused}")
        if len(grammar) > MOST_CHARACTERS:
            raise ConfigError(
                f"what an answer is to be held to has {len(grammar):,} characters, and may have "
                f"{MOST_CHARACTERS:,}"
            )
        if why := _tried(grammar):
            raise ConfigError(f"no answer can be held to this: {_reason(why)}")
        found = LLMatcher(self._tokens, grammar, log_level=0, limits=LLParserLimits(**LIMITS))
        found.compute_bitmask()  # the first one takes the longest
        if found.is_error():
            raise ConfigError(f"no answer can be held to this: {_reason(found.get_error())}")
        return found


class Held:
    """One answer as it grows (`asking.Allowed`)."""

    def __init__(self, matcher: LLMatcher, known: int) -> None:
        self._matcher, self._known, self._taken = matcher, known, 0

    def __call__(self, said: Sequence[int]) -> torch.Tensor:
        """Return which tokens may come next (V,): those that end an answer, once it is whole."""
        self._matcher.consume_tokens(list(said[self._taken :]))
        self._taken = len(said)
        bits = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            raise ConfigError(
                "the answer can be held to its form no longer: "
                f"{_reason(self._matcher.get_error())}",
                hint="Ask for a simpler form.",
            )
        found = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little")
        return torch.from_numpy(found[: self._known].view(np.bool_))


def _tried(grammar: str) -> str:
    """Return why a grammar is none, or takes too much; nothing: it can be compiled here."""
    told = json.dumps({"grammar": grammar, "limits": LIMITS})
    where = str(Path(llguidance.__file__).parents[1])
    command = [sys.executable, "-I", "-S", trial.__file__, str(COMPILING_CPU_S), where]
    try:
        done = subprocess.run(
            command, input=told, capture_output=True, encoding="utf-8", timeout=COMPILING_S,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it takes too long to compile"
    if done.returncode < 0 or "MemoryError" in done.stderr:
        return "it takes too long to compile, or too much memory"
    if done.returncode:
        raise RuntimeError(f"a grammar could not be tried: {done.stderr[-LONGEST_REASON:]}")
    return done.stdout


def _reason(told: str) -> str:
    """Return what the library says in a line, without places in what nobody wrote."""
    lines = [line.strip() for line in _PLACE.sub("", told.strip()).splitlines()]
    if not lines or lines[0].startswith("NoExtension"):
        return "there is nothing that it allows"
    errors = [line[7:] for line in lines[1:] if line.startswith("error: ")]
    return _bounded(" ".join([lines[0], *errors[:1]]))


def _bounded(told: str) -> str:
    return told if len(told) <= LONGEST_REASON else told[: LONGEST_REASON - 1] + "…"
