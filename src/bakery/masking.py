"""Known secrets, taken out of whatever is said or written, in whatever encoding they come.

A server may say back what it was sent. What is masked is what this process was given: the keys of
its environment, and the passwords in the addresses there.
"""

from __future__ import annotations

import base64
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from urllib.parse import parse_qsl, unquote, urlsplit

MASK = "…"

_KEY = re.compile(r"(?:^|_)(?:API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|ACCESS_KEY)$", re.IGNORECASE)
"""Names of variables that hold nothing but a secret."""
_ADDRESS = re.compile(r"(?:_URL|_PROXY|_ENDPOINT|_URI)$", re.IGNORECASE)
"""Names of variables that hold an address, which may have a password in it."""

_NAMES_SECRET = re.compile(r"key|token|secret|sig|pass|pwd|auth|cred|code|session", re.IGNORECASE)
"""Names of what an address asks with that is not for everybody."""

_NO_SECRETS = frozenset({
    "none", "null", "empty", "dummy", "ollama", "vllm", "test", "token", "local", "true", "false",
    "not-needed", "no-key", "no-key-required", "sk-no-key-required", "anything", "unused",
})  # fmt: skip
"""What people write where a server of their own wants some key."""

LEAST = 4
"""A shorter secret would be found in everything."""

WORD = 12
"""Letters alone, fewer than this, may be a word: that is masked in messages, and not in data."""

ESCAPES = 3
"""So many layers of escapes are undone."""

RUN = 16
"""So many characters of a longer secret are masked, too: a message may be cut in the middle."""

_known: set[str] = set()


def keep(*secrets: str) -> None:
    """Have secrets masked that do not stand in this process's environment."""
    _known.update(s for s in secrets if len(s) >= LEAST and s.lower() not in _NO_SECRETS)


def masked(text: str, *, data: bool = False) -> str:
    """Return a text without any known secret; `data`: what may be a plain word stays."""
    secrets = _secrets()
    if not secrets or not text:
        return text
    spans = sorted(_spans(text, *_needles(secrets, data)))
    if not spans:
        return text
    kept, at = [], 0
    for start, stop in spans:
        if start >= at:
            kept += [text[at:start], MASK]
        at = max(at, stop)
    return "".join([*kept, text[at:]])


def of_address(url: str) -> Iterator[str]:
    """Yield the secrets that an address holds: its password, and the values of its query."""
    try:
        parts = urlsplit(url)
        password = (parts.username or "") if parts.password is None else parts.password
    except ValueError:  # no address: what stands before an @ may be meant as one
        before, at, _ = url.rpartition("@")
        yield before.rpartition("/")[2].rpartition(":")[2] if at else ""
        return
    yield from (password, unquote(password))
    if parts.query and "=" not in parts.query:
        yield parts.query
    for name, value in parse_qsl(parts.query):
        if len(value) >= 8 and (_NAMES_SECRET.search(name) or _is_random(value)):
            yield value


def _is_random(value: str) -> bool:
    """Tell whether a value may be a key: it is long, in one piece, and no word or number."""
    return len(value) >= RUN and value.isalnum() and not (value.isalpha() or value.isdecimal())


def any_known() -> bool:
    """Tell whether there is anything to mask."""
    return bool(_secrets())


def _secrets() -> frozenset[str]:
    named = tuple((n, v) for n, v in os.environ.items() if _kind(n))
    return _of_environment(named) | _known


@cache
def _kind(name: str) -> bool:
    return bool(_KEY.search(name) or _ADDRESS.search(name))


@lru_cache(maxsize=8)
def _of_environment(named: tuple[tuple[str, str], ...]) -> frozenset[str]:
    found: set[str] = set()
    for name, value in named:
        found |= {value.strip()} if _KEY.search(name) else set(of_address(value.strip()))
    return frozenset(s for s in found if len(s) >= LEAST and s.lower() not in _NO_SECRETS)


@dataclass(frozen=True, slots=True)
class _Needle:
    """One spelling of a secret; `least` characters of it in a row are too many."""

    text: str
    least: int
    blocks: tuple[tuple[int, str], ...]
    """Parts to look for, each with its place: one of them is in whatever is to be found."""

    def spans(self, text: str, starts: list[int], stops: list[int]) -> Iterator[tuple[int, int]]:
        """Yield where a text has it. `starts` and `stops`: which places each character is of."""
        for begin, block in self.blocks:
            found = -1
            while (found := text.find(block, found + 1)) >= 0:
                first, last = self._widened(text, found, begin, len(block))
                if last - first >= self.least:
                    yield (starts[first], stops[last - 1]) if starts else (first, last)

    def _widened(self, text: str, at: int, begin: int, size: int) -> tuple[int, int]:
        before = after = 0
        while begin > before < at and text[at - before - 1] == self.text[begin - before - 1]:
            before += 1
        end, stop = begin + size, at + size
        while end + after < len(self.text) and stop + after < len(text):
            if text[stop + after] != self.text[end + after]:
                break
            after += 1
        return at - before, stop + after


@lru_cache(maxsize=8)
def _needles(secrets: frozenset[str], data: bool) -> tuple[tuple[_Needle, ...], tuple[str, ...]]:
    """Return what finds some secrets, and the blocks without which none of it finds anything."""
    found: dict[str, _Needle] = {}
    for secret in secrets:
        if data and _is_common(secret):
            continue
        for text, is_coded in _spellings(secret):
            if len(text) >= LEAST:
                found.setdefault(text, _needle(text, is_coded, data))
    blocks = dict.fromkeys(block for needle in found.values() for _, block in needle.blocks)
    return tuple(found.values()), tuple(blocks)


def _is_common(secret: str) -> bool:
    """Tell whether data may hold a secret by chance: a short one, a word, or a number.

    Rows of token ids are numbers, too, and what is written is masked as JSON.
    """
    return (
        len(secret) < 8
        or (secret.isalpha() and len(secret) < WORD)
        or (secret.isdecimal() and len(secret) < 2 * WORD)
    )


def _needle(text: str, is_coded: bool, data: bool) -> _Needle:
    """Return what finds a spelling; of one that is not coded, any part of some length, too.

    In data that part is longer: in half a password there may be a word, as in mypassword1.
    """
    shortest = RUN if data else max(8, min(RUN, -(-len(text) * 3 // 5)))
    least = min(len(text), shortest)
    size = least if is_coded or least == len(text) else (least + 1) // 2
    last = len(text) - size
    begins = (0, last) if is_coded else range(0, last + 1, size)
    return _Needle(text, least, tuple((begin, text[begin : begin + size]) for begin in begins))


def _spellings(secret: str) -> Iterator[tuple[str, bool]]:
    """Yield what stands for a secret once escapes are undone, and whether that is coded."""
    raw = secret.encode("utf-8", "surrogateescape")
    plain = {secret, raw.decode("latin-1"), secret.lower(), secret.upper()}
    coded = {raw.hex(), raw.hex().upper()}
    for before, skipped in ((0, 0), (1, 2), (2, 3)):  # where in three bytes it begins
        whole = (before + len(raw)) * 8 // 6
        code = base64.b64encode(bytes(before) + raw).decode()[skipped:whole]
        coded |= {code, code.replace("+", "-").replace("/", "_")}
    for text in plain:
        yield text, text != secret
    for text in (*coded, secret[::-1], *(code[::-1] for code in coded)):
        if len(text) >= 6:
            yield text, True


_ESCAPED = re.compile(
    r"%(?:25)*(?P<percent>[0-9A-Fa-f]{2})"
    r"|\\+(?:u\{?0*|x|U0*)(?P<hex>[0-9A-Fa-f]{2,6})\}?"
    r"|\\+(?P<octal>[0-3][0-7]{2})"
    r"|\\+(?P<itself>[\"'\\/])"
    r"|&(?:amp;)*#0*(?P<number>\d{1,7});"
    r"|&(?:amp;)*#[xX]0*(?P<hexnumber>[0-9A-Fa-f]{1,6});"
    r"|&(?:amp;)*(?P<name>amp|lt|gt|quot|apos|colon|commat|sol|excl|num|dollar|percnt);"
)
_NAMED = {
    "amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "colon": ":", "commat": "@",
    "sol": "/", "excl": "!", "num": "#", "dollar": "$", "percnt": "%",
}  # fmt: skip
_BETWEEN = re.compile(r"[\s\"',]+")
_View = tuple[str, list[int], list[int]]


def _spans(
    text: str, needles: tuple[_Needle, ...], blocks: tuple[str, ...]
) -> Iterator[tuple[int, int]]:
    """Yield where a text has a secret: as it is, with escapes undone, and without what parts it.

    Which places a character stands for is only worked out where something was found.
    """
    done: list[re.Pattern[str]] = []
    seen = text
    while True:
        if any(map(seen.__contains__, blocks)):
            view: _View = (text, [], [])
            view = functools.reduce(_replaced, done, view)
            yield from (span for needle in needles for span in needle.spans(*view))
        if len(done) < ESCAPES and _BETWEEN not in done and _ESCAPED.search(seen):
            done.append(_ESCAPED)
        elif _BETWEEN not in done and _BETWEEN.search(seen):
            done.append(_BETWEEN)
        else:
            return
        seen = done[-1].sub(_meant, seen) if done[-1] is _ESCAPED else _BETWEEN.sub("", seen)


def _replaced(view: _View, pattern: re.Pattern[str]) -> _View:
    """Return a view with what a pattern finds replaced, and the places of what is left."""
    text, starts, stops = view
    starts = starts or list(range(len(text)))
    stops = stops or list(range(1, len(text) + 1))
    parts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    at = 0
    for match in pattern.finditer(text):
        first, last = match.span()
        parts.append(text[at:first])
        begins += starts[at:first]
        ends += stops[at:first]
        if sign := _meant(match):
            parts.append(sign)
            begins.append(starts[first])
            ends.append(stops[last - 1])
        at = last
    parts.append(text[at:])
    return "".join(parts), begins + starts[at:], ends + stops[at:]


def _meant(match: re.Match[str]) -> str:
    """Return the character that an escape stands for."""
    found = {kind: said for kind, said in match.groupdict().items() if said is not None}
    for kind, said in found.items():
        if kind == "itself":
            return said
        if kind == "name":
            return _NAMED[said]
        base = {"octal": 8, "number": 10}.get(kind, 16)
        return chr(min(int(said, base), 0x10FFFF))
    return ""
