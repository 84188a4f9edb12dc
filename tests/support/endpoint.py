"""An OpenAI-compatible server on this machine that says what a test tells it to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Endpoint:
    """Where the server is, what it was asked, and what it says next."""

    replies: list[str]
    finish: str = "stop"
    status: int = 200
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def serve(replies: Sequence[str], **settings: Any) -> Iterator[Endpoint]:
    """Serve chat completions on a free port; the last reply repeats."""
    endpoint = Endpoint(list(replies), **settings)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            endpoint.requests.append(json.loads(body))
            endpoint.keys.append(self.headers["Authorization"])
            text = endpoint.replies[0]
            if len(endpoint.replies) > 1:
                endpoint.replies.pop(0)
            payload = json.dumps(
                {
                    "id": "1",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [
                        {
                            "index": 0,
                            "finish_reason": endpoint.finish,
                            "message": {"role": "assistant", "content": text},
                        }
                    ],
                }
                if endpoint.status == 200
                else {"error": {"message": "invalid x-api-key"}}
            ).encode()
            self.send_response(endpoint.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
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
        server.shutdown()
        server.server_close()
        thread.join()
