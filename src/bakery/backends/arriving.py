"""A reply as it arrives: no more of it is taken than an answer can have, and no longer than that.

The client's own time limit is for silence: a server that sends a byte now and then never meets it.
"""

from __future__ import annotations

import importlib
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

REPLY_BYTES = 16 << 20
"""Of a reply, unpacked: more than the longest answer that any model gives."""

ERROR_BYTES = 64 << 10
"""Of what a server says instead of an answer."""

LOOK_S = 0.25
"""Between looks at whether a reply has begun."""

_PACKED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}

Made = TypeVar("Made")


class CutShortError(Exception):
    """A reply was too long or too slow; the text says which."""


class Arriving:
    """Hooks of a client, and what is done with it within the limits."""

    def __init__(self, deadline_s: float) -> None:
        """`deadline_s`: so long may a reply take behind its head, and twice that the head.

        Silence is for the client to mind: its limit is the same.
        """
        self.hooks: dict[str, list[Callable[[Any], None]]] = {
            "request": [self._asked],
            "response": [self._read],
        }
        self._deadline_s = deadline_s
        self._of_thread = threading.local()

    def within(self, work: Callable[[], Made]) -> Made:
        """Return what work that asks gives; CutShortError where a reply breaks a limit.

        It is done in another thread: a head that never ends is left to itself.
        """
        reading = _Reading()
        done: SimpleQueue[tuple[Made | None, BaseException | None]] = SimpleQueue()

        def do() -> None:
            self._of_thread.reading = reading
            try:
                done.put((work(), None))
            except BaseException as error:  # raised where it is waited for
                done.put((None, error))

        threading.Thread(target=do, daemon=True).start()
        while True:
            try:
                made, failed = done.get(timeout=LOOK_S)
                break
            except Empty:
                since = reading.head_since
                if since is not None and time.monotonic() > since + 2 * self._deadline_s:
                    raise CutShortError("its head had no end") from None
        if reading.cut:
            raise CutShortError(reading.cut) from failed
        if failed is not None:
            raise failed
        return made  # type: ignore[return-value]  # it is there where nothing failed

    def _asked(self, request: Any) -> None:
        reading: _Reading = self._of_thread.reading
        request.extensions = {**request.extensions, "trace": reading.follow}

    def _read(self, response: Any) -> None:
        """Read a response within the limits."""
        reading: _Reading = self._of_thread.reading
        reading.cut = ""
        most = REPLY_BYTES if response.status_code < 400 else ERROR_BYTES
        parts: Iterable[bytes] = self._in_time(response.stream, reading)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding in _PACKED:
            parts = _unpacked(parts, _PACKED[encoding], most)
            del response.headers["content-encoding"]
        elif encoding != "identity":
            reading.cut = f"it is packed in a way that was not asked for ({encoding[:20]})"
            del response.headers["content-encoding"]
            parts = ()
        body = bytearray()
        for part in parts:
            body += part
            if len(body) > most:
                del body[most:]
                if response.status_code < 400:
                    reading.cut = f"it is larger than {most >> 20} MiB"
                break
        response.stream.close()
        # Of the library that made the response: its name differs between versions of the client.
        library: Any = importlib.import_module(type(response).__module__.partition(".")[0])
        response.stream = library.ByteStream(bytes(body))

    def _in_time(self, stream: Iterable[bytes], reading: _Reading) -> Iterator[bytes]:
        ends = time.monotonic() + self._deadline_s
        for part in stream:
            if time.monotonic() > ends:
                reading.cut = self._late("it")
                return
            yield part

    def _late(self, what: str) -> str:
        return f"{what} was not whole after {self._deadline_s:g} s"


class _Reading:
    """How far one request has come."""

    def __init__(self) -> None:
        self.cut = ""
        self.head_since: float | None = None
        """Since when the head of a reply is being read; None: none is."""

    def follow(self, event: str, _: Mapping[str, Any]) -> None:
        """Hear of what the client does."""
        if event.endswith("receive_response_headers.started"):
            self.head_since = time.monotonic()
        elif ".receive_response_headers." in event:
            self.head_since = None


def _unpacked(parts: Iterable[bytes], bits: int, most: int) -> Iterator[bytes]:
    """Yield what packed bytes hold, a piece at a time: a few of them may hold gigabytes."""
    unpacking = zlib.decompressobj(bits)
    for part in parts:
        given = part
        while given and not unpacking.eof:
            try:
                piece = unpacking.decompress(given, most)
            except zlib.error:  # what is there is no JSON then, and refused as such
                return
            yield piece
            given = unpacking.unconsumed_tail
