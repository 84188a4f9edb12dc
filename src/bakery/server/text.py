"""Token ids to text as it grows: whole characters only, and never what a stop text begins with."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from bakery.errors import ConfigError
from bakery.records import Message, Prompt
from bakery.server import calls
from bakery.server.calls import Spelling
from bakery.server.errors import RequestError

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel

PART = "\ufffd"
"""What a decoder shows for a character of which a part is missing."""

PIECE = 1 << 16
"""Characters that become ids at once, while it is not known whether a text has too many."""

CUT = 8
"""So many tokens may a piece have more than the whole has there, as words are cut through."""


class Words:
    """How a base model reads and writes text; any thread may ask.

    A chat's caches, and what becomes ids, are for one thread at a time. So are ids that become
    text, which wait for none of these: a long question holds nobody's answer up.
    """

    def __init__(self, base: BaseModel) -> None:
        from bakery.engine.models.models import embedded
        from bakery.engine.serving.holding import Holder

        self._chat = base.chat
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self.end_ids, self.context = base.chat.end_ids, base.context
        self.rows = embedded(base.model)
        self.holder = Holder(base.chat, self.rows)
        self.base = base.id
        self._shows_tools: bool | None = None
        self._spelling: tuple[Spelling | None] | tuple[()] = ()

    def prefix(
        self, prompt: Prompt, messages: Sequence[Message], *, is_held: bool = False
    ) -> tuple[int, ...]:
        """Return the ids of a conversation, up to where its answer begins.

        An answer that is held to a form has no thought before it: one that the template has begun
        is ended at once. RequestError where it has more tokens than the model can read.
        """
        from bakery.engine.text import marks

        with self._lock:
            if len(str(messages)) > PIECE or len(str(prompt)) > PIECE:
                self._check(self._chat.asked([*prompt.messages, *messages], prompt.tools))
            ids = self._chat.prefix_ids(prompt, messages)
            begun = self._chat.thought_begun(ids) if is_held else ""
            if begun:
                ended = f"\n{marks.closing(begun)}\n\n"
                ids += self._chat.tokenizer(ended, add_special_tokens=False)["input_ids"]
            return tuple(ids)

    def ids(self, text: str) -> tuple[int, ...]:
        """Return the ids of plain text, with what the tokenizer puts in front of any."""
        with self._lock:
            self._check(text)
            return tuple(self._chat.tokenizer(text, verbose=False)["input_ids"])

    def shows_tools(self) -> bool:
        """Tell whether the template shows a model which tools there are."""
        from bakery.engine.text.chat import TOOL

        with self._lock:
            if self._shows_tools is None:
                asked = [{"role": "user", "content": "?"}]
                try:
                    told = self._chat.asked(asked, [TOOL])
                    self._shows_tools = told != self._chat.asked(asked)
                except ConfigError:
                    self._shows_tools = False
            return self._shows_tools

    def spelling(self) -> Spelling | None:
        """Return how the template writes calls of tools; None: in no way that is read here."""
        from bakery.engine.text.chat import TOOL

        with self._lock:
            if not self._spelling:
                asked = self._chat.asked([{"role": "user", "content": "?"}], [TOOL])
                found = calls.spelling(lambda said: self._chat.rendered(said, [TOOL]), asked)
                self._spelling = (found,)
            return self._spelling[0]

    def _check(self, text: str) -> None:
        """Refuse a text that is far too long before all of it becomes ids: that takes a minute."""
        count = 0
        for begin in range(0, len(text) - PIECE, PIECE):
            piece = text[begin : begin + PIECE]
            found = self._chat.tokenizer(piece, add_special_tokens=False, verbose=False)
            count += len(found["input_ids"]) - CUT
            if count > self.context:
                raise RequestError(
                    400, f"This model's maximum context length is {self.context} tokens. Your "
                    f"prompt has more than {count}.", code="context_length_exceeded",
                    param="messages",
                )  # fmt: skip

    def shown(self, ids: Sequence[int]) -> str:
        """Return what a person reads of ids: no special tokens."""
        with self._reading:
            return str(self._chat.tokenizer.decode(list(ids), skip_special_tokens=True))

    def decoded(self, ids: Sequence[int]) -> str:
        """Return the text of ids as they are, special tokens included."""
        with self._reading:
            return self._chat.decoded(ids)

    def piece(self, token: int) -> bytes:
        """Return the bytes that one token stands for, as far as its tokenizer says."""
        text = self.decoded([token])
        if PART in text:
            with self._reading:
                written = str(self._chat.tokenizer.convert_ids_to_tokens(token))
            known = _bytes()
            if all(sign in known for sign in written):
                return bytes(known[sign] for sign in written)
        return text.encode("utf-8", "replace")


def named(piece: bytes) -> str:
    """Return a token's bytes as text; a part of a character as OpenAI writes it."""
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in piece)


@cache
def _bytes() -> dict[str, int]:
    """Return the byte behind each sign by which byte-level tokenizers write one."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    signs = {chr(byte): byte for byte in kept}
    return signs | {chr(256 + at): byte for at, byte in enumerate(others)}


class Growing:
    """The text of an answer, token by token; it is that of all its ids at once."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._ids: list[int] = []
        self._from = self._said = 0

    def add(self, token: int) -> str:
        """Return what a token adds: nothing while a character is not whole."""
        self._ids.append(token)
        new = self._new()
        if not new or new.endswith(PART):
            return ""
        self._from, self._said = self._said, len(self._ids)
        return new

    def rest(self) -> str:
        """Return what is left at the end, whole or not."""
        new = self._new()
        self._from = self._said = len(self._ids)
        return new

    def _new(self) -> str:
        """Return what is new behind the last piece: a decoder may join words by what is before."""
        before = self._words.shown(self._ids[self._from : self._said])
        return self._words.shown(self._ids[self._from :])[len(before) :]


class Until:
    """Text up to the first stop text; what may be the beginning of one waits."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._waiting = ""
        self.is_over = False

    def add(self, text: str) -> str:
        """Return what may be shown by now; nothing once a stop text came."""
        if self.is_over:
            return ""
        text = self._waiting + text
        found = [at for at in (text.find(stop) for stop in self._stop) if at >= 0]
        if found:
            self.is_over, self._waiting = True, ""
            return text[: min(found)]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._waiting = text[len(text) - held :]
        return text[: len(text) - held]

    def rest(self) -> str:
        """Return what waited for nothing, as the answer is over."""
        left, self._waiting = self._waiting, ""
        return left


def _overlap(text: str, stop: str) -> int:
    """Return with how many of its last characters a text may begin a stop text."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
