"""A reply as it arrives: no more of it is taken than an answer can have, and no longer than that.

What is cut is told by `Arriving.cut`; what is left of it is for the client to refuse.
"""

from __future__ import annotations

import importlib
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

REPLY_BYTES = 16 << 20
"""Of a reply, unpacked: more than the longest answer that any model gives."""

ERROR_BYTES = 64 << 10
"""Of what a server says instead of an answer."""

_PACKED = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class Arriving:
    """A hook of the client: called with each response before its body is read."""

    def __init__(self, deadline_s: float) -> None:
        """`deadline_s`: so long after its first line the whole of a reply has to be there."""
        self._deadline_s = deadline_s
        self._of_thread = threading.local()

    @property
    def cut(self) -> str:
        """Why the last reply that this thread read is not whole; "": it is."""
        return str(getattr(self._of_thread, "cut", ""))

    def begin(self) -> None:
        """Forget about the reply before."""
        self._of_thread.cut = ""

    def __call__(self, response: Any) -> None:
        """Read a response within the limits."""
        self.begin()
        most = REPLY_BYTES if response.status_code < 400 else ERROR_BYTES
        parts: Iterable[bytes] = self._in_time(response.stream)
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding in _PACKED:
            parts = _unpacked(parts, _PACKED[encoding], most)
            del response.headers["content-encoding"]
        elif encoding != "identity":
            self._of_thread.cut = f"it is packed in a way that was not asked for ({encoding[:20]})"
            del response.headers["content-encoding"]
            parts = ()
        body = bytearray()
        for part in parts:
            body += part
            if len(body) > most:
                del body[most:]
                if response.status_code < 400:
                    self._of_thread.cut = f"it is larger than {most >> 20} MiB"
                break
        response.stream.close()
        # Of the library that made the response: its name differs between versions of the client.
        library: Any = importlib.import_module(type(response).__module__.partition(".")[0])
        response.stream = library.ByteStream(bytes(body))

    def _in_time(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        ends = time.monotonic() + self._deadline_s
        for part in stream:
            if time.monotonic() > ends:
                self._of_thread.cut = f"it was not whole after {self._deadline_s:g} s"
                return
            yield part


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
