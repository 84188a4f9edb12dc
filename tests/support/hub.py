"""A stand-in for the hub's HTTP interface on this machine: some repositories, kept in memory.

It knows what huggingface_hub asks of it to make a repository, to list, read and commit files, over
LFS, too; each commit is counted. What it should refuse, or lie about, is said beside.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_hiddentokenofnobody"

_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/(?P<rest>.*))?")
_LFS = re.compile(r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
_RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass
class Repo:
    """A repository: its newest files, the commits that made them, and what they were before."""

    name: str
    private: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    in_lfs: set[str] = field(default_factory=set)
    branches: dict[str, str] = field(default_factory=dict)
    kept: dict[str, dict[str, bytes]] = field(default_factory=dict)
    card: dict[str, str] = field(default_factory=dict)
    """What the head of its README says."""

    @property
    def commit(self) -> str:
        """The newest commit of main."""
        return self.branches.get("main") or self._id()

    def at(self, revision: str) -> dict[str, bytes] | None:
        """Return the files of a branch or a commit; None: there is none."""
        found = self.branches.get(revision, revision)
        return self.files if found in ("main", self.commit) else self.kept.get(found)

    def put(self, summary: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Make a commit, and return its id."""
        if branch == "main":
            self.kept[self.commit] = dict(self.files)
            self.files.clear()
            self.files.update(files)
        self.commits.append(summary)
        self.branches[branch] = self._id()
        self.kept[self._id()] = dict(files)
        return self._id()

    def _id(self) -> str:
        return hashlib.sha1(f"{self.name} {len(self.commits)}".encode()).hexdigest()


@dataclass
class Hub:
    """The hub: `ann/yoda` is there from the first, and empty."""

    url: str = ""
    repos: dict[str, Repo] = field(default_factory=lambda: {"ann/yoda": Repo("ann/yoda")})
    tokens: set[str] = field(default_factory=set)
    """What was sent as authorization."""
    asked: list[str] = field(default_factory=list)
    """Every request: method and path."""
    lfs: bool = False
    """Whether weights go to LFS, as on the real one."""
    objects: dict[str, bytes] = field(default_factory=dict)
    fails: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """What to answer to requests whose method and path a pattern finds: code and headers."""
    before: Callable[[str], None] | None = None
    """Told of every request, before it is answered."""
    sends: Callable[[str, bytes], bytes] | None = None
    """What becomes of a file's bytes on the way, where it lies."""

    @property
    def files(self) -> dict[str, bytes]:
        """What `ann/yoda` has."""
        return self.repos["ann/yoda"].files

    @property
    def commits(self) -> list[str]:
        """What was committed to `ann/yoda`."""
        return self.repos["ann/yoda"].commits


@contextmanager
def running() -> Iterator[Hub]:
    """Answer as the hub until the block ends."""
    hub = Hub()

    class Handler(_Handler):
        known = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
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
        if (asked := self._begun()) is None:
            return
        path, query, _ = asked
        if match := _RESOLVE.fullmatch(path):
            self._file(match)
        elif path == "/api/whoami-v2":
            self._json({"type": "user", "name": "ann", "orgs": []})
        elif (match := _API.fullmatch(path)) and (repo := self._repo(match)):
            self._look(repo, match["rest"] or "", query)
        else:
            self._not_found()

    def do_PUT(self) -> None:
        if (asked := self._begun()) is None:
            return
        path, _, body = asked
        if path.startswith("/lfs/"):
            name = path.removeprefix("/lfs/")
            if hashlib.sha256(body).hexdigest() != name:
                self._json({"error": "of another digest"}, 400)
                return
            self.known.objects[name] = body
            self._answer(b"", 200, {"ETag": f'"{name}"'})
        elif (match := _API.fullmatch(path)) and (repo := self._repo(match)):
            told = json.loads(body)
            repo.private = told.get("visibility", "") == "private" or told.get("private") is True
            self._json({"private": repo.private})
        else:
            self._not_found()

    def do_POST(self) -> None:
        if (asked := self._begun()) is None:
            return
        path, _, body = asked
        if path == "/api/repos/create":
            self._create(json.loads(body))
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif match := _LFS.fullmatch(path):
            self._batch(json.loads(body)["objects"])
        elif (match := _API.fullmatch(path)) and (repo := self._repo(match)):
            self._write(repo, match["rest"] or "", body)
        else:
            self._not_found()

    def _begun(self) -> tuple[str, str, bytes] | None:
        """Return path, query and body of a request that is to be answered; None: it was refused."""
        parts = urlsplit(self.path)
        path, body = unquote(parts.path), self._body()
        self.known.asked.append(f"{self.command} {path}")
        if "/ann/" in path or "/api/repos" in path:
            self.known.tokens.add(self.headers.get("authorization") or "")
        if self.known.before is not None:
            self.known.before(f"{self.command} {path}")
        for pattern, (code, headers) in self.known.fails.items():
            if re.search(pattern, f"{self.command} {path}"):
                self._json({"error": f"refused with {code}"}, code, headers)
                return None
        return path, parts.query, body

    def _repo(self, match: re.Match[str]) -> Repo | None:
        return self.known.repos.get(match["repo"])

    def _look(self, repo: Repo, rest: str, query: str) -> None:
        verb, _, after = rest.partition("/")
        revision, _, within = after.partition("/")
        files = repo.at(unquote(revision) or "main")
        if files is None:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif verb in ("", "revision"):
            on_branch = repo.branches.get(revision)
            sha = on_branch or (revision if revision in repo.kept else repo.commit)
            self._json({"id": repo.name, "sha": sha, "siblings": [], "private": repo.private,
                        "tags": [], "downloads": 0, "likes": 0, "cardData": repo.card})  # fmt: skip
        elif verb == "tree":
            deep = parse_qs(query).get("recursive") in (["true"], ["True"])
            self._tree(repo, files, within.strip("/"), recursive=deep)
        else:
            self._not_found()

    def _write(self, repo: Repo, rest: str, body: bytes) -> None:
        verb, _, revision = rest.partition("/")
        files = repo.at(revision) if revision else repo.files
        if verb == "branch":
            repo.kept[repo.commit] = dict(repo.files)
            repo.branches[revision] = repo.commit
            self._json({})
        elif files is None:
            self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif verb == "preupload":
            rows = json.loads(body)["files"]
            self._json({"files": [self._mode(files, row["path"]) for row in rows]})
        elif verb == "commit":
            rows = [json.loads(line) for line in body.splitlines() if line.strip()]
            self._commit(repo, revision, dict(files), rows)
        elif verb == "paths-info":
            asked = (
                json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            )
            self._json([self._row(repo, files, p) for p in asked if p in files])
        else:
            self._not_found()

    def _create(self, told: dict[str, Any]) -> None:
        name = f"{told.get('organization') or 'ann'}/{told['name']}"
        if name in self.known.repos:
            self._json({"error": "You already created this model repo"}, 409)
            return
        private = told.get("visibility") == "private" or told.get("private") is True
        made = self.known.repos[name] = Repo(name, private, {".gitattributes": b"*.x lfs\n"})
        self._json({"url": f"{self.known.url}/{name}", "name": name, "id": made.commit})

    def _batch(self, rows: list[dict[str, Any]]) -> None:
        found = []
        for row in rows:
            known = row["oid"] in self.known.objects
            href = f"{self.known.url}/lfs/{row['oid']}"
            more = {} if known else {"actions": {"upload": {"href": href, "header": {}}}}
            found.append({"oid": row["oid"], "size": row["size"], **more})
        self._json({"transfer": "basic", "objects": found})

    def _commit(
        self, repo: Repo, revision: str, files: dict[str, bytes], rows: list[dict[str, Any]]
    ) -> None:
        now = repo.branches.get(revision, repo.commit)
        header = next(row["value"] for row in rows if row["key"] == "header")
        if header.get("parentCommit") not in (None, now):
            self._json({"error": "A commit has happened since"}, 412)
            return
        for row in rows:
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
                repo.in_lfs.discard(value["path"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.known.objects[value["oid"]]
                repo.in_lfs.add(value["path"])
            elif row["key"] == "deletedFile":
                del files[value["path"]]
        made = repo.put(header["summary"], files, revision)
        url = f"{self.known.url}/{repo.name}/commit/{made}"
        self._json({"success": True, "commitOid": made, "commitUrl": url})

    def _mode(self, files: dict[str, bytes], path: str) -> dict[str, Any]:
        large = self.known.lfs and path.endswith((".safetensors", ".gguf"))
        return {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False,
                "oid": _oid(files.get(path))}  # fmt: skip

    def _tree(self, repo: Repo, files: dict[str, bytes], within: str, *, recursive: bool) -> None:
        start = f"{within}/" if within else ""
        inside = [path for path in sorted(files) if path.startswith(start)]
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
                rows[path] = self._row(repo, files, path)
        self._json(list(rows.values()))

    def _row(self, repo: Repo, files: dict[str, bytes], path: str) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        row = {
            "type": "file", "path": path, "oid": _oid(files[path]), "size": len(files[path]),
            "lastCommit": {"id": "1" * 40, "title": "x", "date": now},
        }  # fmt: skip
        if path in repo.in_lfs:
            digest = hashlib.sha256(files[path]).hexdigest()
            row["lfs"] = {"oid": digest, "size": len(files[path]), "pointerSize": 134}
        return row

    def _file(self, match: re.Match[str]) -> None:
        repo = self._repo(match)
        files = repo.at(match["revision"]) if repo else None
        data = files.get(match["path"]) if files else None
        if data is None or repo is None:
            self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        if self.known.sends is not None:
            data = self.known.sends(match["path"], data)
        first, last = 0, len(data) - 1
        if said := self.headers.get("range"):
            begin, _, end = said.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
        part = data[first : last + 1]
        more = {"Content-Range": f"bytes {first}-{last}/{len(data)}"} if said else {}
        commit = match["revision"] if len(match["revision"]) == 40 else repo.commit
        known = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": commit}
        self._answer(part, 206 if said else 200, {**known, **more})

    def _not_found(self) -> None:
        self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

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


def _oid(data: bytes | None) -> str | None:
    whole = None if data is None else b"blob %d\0%b" % (len(data), data)
    return None if whole is None else hashlib.sha1(whole).hexdigest()
