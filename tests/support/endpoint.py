"""An OpenAI-compatible server on this machine that says what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Barrier, Event, Lock, Thread
from typing import Any


@dataclass
class Endpoint:
    """Where the server is, what it was asked, and what it says next.

    `statuses` are used up one per request, and then `status` holds. `headers` go with refusals.
    `together`: so many requests have to be there at once before one of them is answered.
    `calls` are tool calls in every answer, `choice` and `said` are added to its choice and its
    message, and `usage` to the whole. A request that holds a text of `refuse` gets that status.
    `silent_after` so many requests none is answered, until the server ends.
    """

    replies: list[str]
    finish: str | None = "stop"
    status: int = 200
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    message: str = "invalid x-api-key"
    calls: list[dict[str, Any]] = field(default_factory=list)
    choice: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    silent_after: int | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None
    """The whole body of every answer, instead of what `replies` say."""
    together: Barrier | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(replies: Sequence[str], **settings: Any) -> Iterator[Endpoint]:
    """Serve chat completions on a free port; the last reply repeats."""
    endpoint = Endpoint(list(replies), **settings)
    lock, ended = Lock(), Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if endpoint.together is not None:
                endpoint.together.wait(timeout=20)
            if (
                endpoint.silent_after is not None
                and len(endpoint.requests) >= endpoint.silent_after
            ):
                ended.wait(timeout=20)
            with lock:
                endpoint.paths.append(self.path)
                status, payload = _answer(endpoint, json.loads(body), self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            for name, value in endpoint.headers.items() if status != 200 else ():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(endpoint: Endpoint, request: dict[str, Any], key: str) -> tuple[int, bytes]:
    """Return status and body of the next answer."""
    endpoint.requests.append(request)
    endpoint.keys.append(key)
    status = endpoint.statuses.pop(0) if endpoint.statuses else endpoint.status
    asked = json.dumps(request["messages"])
    status = next((code for text, code in endpoint.refuse.items() if text in asked), status)
    if status != 200:
        return status, json.dumps({"error": {"message": endpoint.message}}).encode()
    if endpoint.raw is not None:
        return 200, endpoint.raw
    text = endpoint.replies[0]
    if len(endpoint.replies) > 1:
        endpoint.replies.pop(0)
    message: dict[str, Any] = {"role": "assistant", "content": text, **endpoint.said}
    if endpoint.calls:
        message["tool_calls"] = endpoint.calls
    choice = {"index": 0, "finish_reason": endpoint.finish, "message": message, **endpoint.choice}
    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
    used = {"usage": endpoint.usage} if endpoint.usage else {}
    return 200, json.dumps({**answer, "choices": [choice], **used}).encode()
