"""A stand-in for the hub's HTTP interface on this machine: one repository, kept in memory.

It knows what huggingface_hub asks of it to list, read and commit files; each commit is counted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_hiddentokenofnobody"


@dataclass
class Hub:
    """A repository `ann/yoda`: its files, and the commits that made them."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    """What was sent as authorization."""


@contextmanager
def running() -> Iterator[Hub]:
    """Answer as the hub until the block ends."""
    hub = Hub()

    class Handler(_Handler):
        known = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    known: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:  # the name that http.server calls
        self.do_GET()

    def do_GET(self) -> None:
        self._note_token()
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if path.startswith("/ann/yoda/resolve/main/"):
            self._file(path.removeprefix("/ann/yoda/resolve/main/"))
        elif path.startswith("/api/models/ann/yoda/tree/main"):
            within = path.removeprefix("/api/models/ann/yoda/tree/main").strip("/")
            self._tree(
                within, recursive=parse_qs(parts.query).get("recursive") in (["true"], ["True"])
            )
        elif path in ("/api/models/ann/yoda", "/api/models/ann/yoda/revision/main"):
            self._json({"id": "ann/yoda", "sha": "0" * 40, "siblings": [], "private": True,
                        "tags": [], "downloads": 0, "likes": 0})  # fmt: skip
        else:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def do_POST(self) -> None:
        self._note_token()
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        if path == "/api/models/ann/yoda/preupload/main":
            rows = json.loads(body)["files"]
            modes = [{"path": r["path"], "uploadMode": "regular", "shouldIgnore": False,
                      "oid": self._oid(r["path"])} for r in rows]  # fmt: skip
            self._json({"files": modes})
        elif path == "/api/models/ann/yoda/commit/main":
            self._commit([json.loads(line) for line in body.splitlines() if line.strip()])
        elif path == "/api/models/ann/yoda/paths-info/main":
            asked = (
                json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            )
            self._json([self._row(p) for p in asked if p in self.known.files])
        else:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _commit(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            value = row["value"]
            if row["key"] == "header":
                self.known.commits.append(value["summary"])
            elif row["key"] == "file":
                self.known.files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "deletedFile":
                del self.known.files[value["path"]]
        self._json(
            {
                "success": True,
                "commitOid": "1" * 40,
                "commitUrl": f"{self.known.url}/ann/yoda/commit/{'1' * 40}",
            }
        )

    def _tree(self, within: str, *, recursive: bool) -> None:
        start = f"{within}/" if within else ""
        inside = [path for path in sorted(self.known.files) if path.startswith(start)]
        if within and not inside:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        rows: dict[str, dict[str, Any]] = {}
        for path in inside:
            names = path.removeprefix(start).split("/")
            for depth in range(1, len(names)) if recursive else range(1, min(2, len(names))):
                folder = start + "/".join(names[:depth])
                rows[folder] = {"type": "directory", "path": folder, "oid": "2" * 40, "size": 0}
            if recursive or len(names) == 1:
                rows[path] = self._row(path)
        self._json(list(rows.values()))

    def _row(self, path: str) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        return {
            "type": "file", "path": path, "oid": self._oid(path),
            "size": len(self.known.files[path]),
            "lastCommit": {"id": "1" * 40, "title": "x", "date": now},
        }  # fmt: skip

    def _oid(self, path: str) -> str | None:
        data = self.known.files.get(path)
        whole = None if data is None else b"blob %d\0%b" % (len(data), data)
        return None if whole is None else hashlib.sha1(whole).hexdigest()

    def _file(self, path: str) -> None:
        data = self.known.files.get(path)
        if data is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        first, last = 0, len(data) - 1
        if said := self.headers.get("range"):
            begin, _, end = said.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
        part = data[first : last + 1]
        more = {"Content-Range": f"bytes {first}-{last}/{len(data)}"} if said else {}
        self._answer(part, 206 if said else 200, {"ETag": '"x"', "X-Repo-Commit": "1" * 40, **more})

    def _json(self, said: Any, code: int = 200, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json"}
        self._answer(json.dumps(said).encode(), code, {**kind, **(headers or {})})

    def _answer(self, data: bytes, code: int, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _note_token(self) -> None:
        if "/ann/" in self.path:
            self.known.tokens.add(self.headers.get("authorization") or "")
