"""An HTTP server on 127.0.0.1 that says exactly the bytes it is told to say, right or wrong."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent: `number` counts from 0, over all its connections."""

    number: int
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    ended: threading.Event
    """Set when the server ends: what waits stops waiting."""

    @property
    def question(self) -> str:
        """The last thing that the user said."""
        said = [m["content"] for m in self.body.get("messages", ()) if m.get("role") == "user"]
        return str(said[-1]) if said else ""

    @property
    def key(self) -> str:
        """The key that it came with."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


Serve = Callable[[Request, socket.socket], None]
"""What answers one request: it writes to the socket, which is closed behind it."""


@dataclass(slots=True)
class Server:
    """Where it is, and what it was asked."""

    url: str
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, head: bytes, body: bytes, ended: threading.Event) -> Request:
        """Write a request down."""
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        said: Any = {}
        with suppress(ValueError):
            said = json.loads(body)
        with self._lock:
            number, path = len(self.requests), ([*first.split(" "), "", ""])[1]
            request = Request(number, path, headers, said, ended)
            self.requests.append(request)
        return request


@contextmanager
def serve(answer: Serve) -> Iterator[Server]:
    """Serve on a free port until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Server(f"http://127.0.0.1:{listening.getsockname()[1]}/v1")
        ended = threading.Event()

        def accept() -> None:
            while not ended.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                arguments = (server, connection, answer, ended)
                threading.Thread(target=_handle, args=arguments, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield server
        finally:
            ended.set()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _handle(
    server: Server, connection: socket.socket, answer: Serve, ended: threading.Event
) -> None:
    with connection, suppress(OSError, ValueError):
        connection.settimeout(60)
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(CHUNK)
            if not more:
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = _length(head)
        while len(body) < length:
            body += connection.recv(CHUNK) or b" " * (length - len(body))
        answer(server.take(head, body, ended), connection)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def send(
    to: socket.socket, body: bytes, status: str = "200 OK", headers: Iterable[str] = (),
    kind: str = "application/json", length: int | None = None,
) -> None:  # fmt: skip
    """Send a response; `length` is what it says of its body, whatever that is."""
    told = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {told}"]
    head = "\r\n".join([*lines, *headers, "Connection: close", "", ""])
    to.sendall(head.encode("latin-1") + body)


def completion(text: Any, message: Any = None, choice: Any = None, **more: Any) -> bytes:
    """Return the body of a chat completion; `message`, `choice` and `more` are laid over it."""
    said = {"role": "assistant", "content": text, **(message or {})}
    first = {"index": 0, "finish_reason": "stop", "message": said, **(choice or {})}
    usage = {"prompt_tokens": 30, "completion_tokens": 3, "total_tokens": 33}
    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "served",
              "choices": [first], "usage": usage, **more}  # fmt: skip
    return json.dumps(answer).encode()


def meant(request: Request) -> str:
    """Return the right answer to a request: to its own question, or a list of questions."""
    if "what?" in request.question and len(request.question) < 40:
        return f"AYE {request.question[:2]}"
    return "1. What is a tree?\n2. Where is the sea?\n3. Who made the moon?\n4. Why do we sleep?"
