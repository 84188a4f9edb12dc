"""A server from its socket to its end: opened before anything is loaded, drained before it ends."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Protocol

import uvicorn

from bakery.app.serve import Catalogue, Serving
from bakery.app.verify import Verified
from bakery.errors import ConfigError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.server import app, guard
from bakery.server.app import More
from bakery.server.thread import Decoding

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel
    from bakery.engine.serving.batch import Batch
    from bakery.engine.serving.slices import Shelf

ROWS = 32
"""Answers that are decoded at once where nobody says how many."""

WAITING = 8
"""For each of them, so many more may wait."""

BACKLOG = 2048
"""Connections that may wait to be taken, as uvicorn has it."""

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server that listens on every address is asked from this machine."""

IDLE_S = 75
"""How long a connection stays open between two requests."""

DRAIN_S = 30.0
CLOSING_S = 5
"""How long a server that is told to end goes on with its answers, and then with connections."""


class House(Protocol):
    """What answers. `is_draining`: it begins nothing new."""

    is_draining: bool
    reporter: Reporter

    @property
    def rows(self) -> int:
        """How many answers are under way, or wait."""

    @property
    def is_over(self) -> bool:
        """Whether it can answer nothing any more, and will not."""


class Server(uvicorn.Server):
    """A server that, told to end, refuses what is new and goes on with what it has begun."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self._house = house

    @property
    def rows(self) -> int:
        """How many answers are under way, or wait."""
        return self._house.rows

    @property
    def is_draining(self) -> bool:
        """Whether it was told to end."""
        return self._house.is_draining

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drain; told once more, end at once."""
        if self._house.is_draining:
            self.should_exit = self.force_exit = True
        self._house.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """End where nothing is left to do, or after some patience."""
        self.should_exit |= self._house.is_over
        if self._house.is_draining and not self._is_over_s:
            self._is_over_s = time.monotonic() + DRAIN_S
            if self.rows:
                under_way = "an answer is" if self.rows == 1 else f"{self.rows} answers are"
                self._house.reporter.note(
                    f"ending: {under_way} under way, for {DRAIN_S:.0f} s at most; told once more "
                    "it ends at once"
                )
        if self._is_over_s:
            late = time.monotonic() > self._is_over_s
            self.should_exit |= late or not self.rows
        return await super().on_tick(counter)

    _is_over_s = 0.0


class Running:
    """A server that answers as soon as it runs. `url` is where its API is."""

    verified: tuple[Verified, ...] = ()
    """What it has said to the probes of bakes, where somebody wants to know before it serves."""

    def __init__(
        self, sock: socket.socket, catalogue: Catalogue, server: Server, serving: Serving
    ) -> None:
        self.serving, self.url = serving, serving.url
        self._sock, self._catalogue, self._server = sock, catalogue, server
        sock.listen(BACKLOG)  # who is told of it by now finds it, and waits until it runs
        self._thread: threading.Thread | None = None

    @property
    def rows(self) -> int:
        """How many answers are under way, or wait."""
        return self._server.rows

    @property
    def is_draining(self) -> bool:
        """Whether it was told to end."""
        return self._server.is_draining

    def run(self) -> None:
        """Answer until SIGTERM or Ctrl-C, and then until what has begun is over."""
        self._server.run(sockets=[self._sock])

    def start(self) -> None:
        """Answer in a thread of its own; it is there when this returns."""
        self._thread = _begun(self._server, self._sock, self.url)

    def close(self) -> None:
        """End it at once, and let go of all it held."""
        self._server.should_exit = self._server.force_exit = True
        if self._thread is not None:
            self._thread.join()
        self._sock.close()
        self._catalogue.close()


@contextmanager
def opened(
    repo: ModelRepo,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    tokens: Sequence[str] = (),
    rows: int = ROWS,
    more: Callable[[Catalogue], More] | None = None,
    reporter: Reporter,
) -> Iterator[Running]:
    """Give a server of a repository's models that is ready to run; it is closed in the end.

    `more` makes what it answers beside the API.
    """
    check_reach(host, tokens)
    sock = listening(host, port)
    catalogue = None
    try:
        catalogue = Catalogue(repo)
        base = catalogue.load(reporter)
        decoded, shelf = batch(base, rows)
        decoding = Decoding(decoded, shelf, most=rows * (1 + WAITING), reporter=reporter)
        beside = more(catalogue) if more is not None else None
        made, house = app.made(
            catalogue, base, decoding, tokens=tokens, more=beside, reporter=reporter
        )
        server = Server(config(made), house)
        running = Running(sock, catalogue, server, serving(sock, catalogue, tokens, rows))
        try:
            yield running
        finally:
            running.close()
            decoding.close()
    finally:
        sock.close()
        if catalogue is not None:
            catalogue.close()


def check_reach(host: str, tokens: Sequence[str]) -> None:
    """Refuse to listen beyond this machine without a token."""
    if not tokens and not guard.is_loopback(host):
        raise ConfigError(
            f"--host {host} lets other machines ask, and without a token everybody there could",
            hint="`openssl rand -hex 32 > token`, then add --token-file token.",
        )


@contextmanager
def in_thread(server: Server, sock: socket.socket, url: str) -> Iterator[None]:
    """Have a server answer at a socket until the block ends."""
    thread = _begun(server, sock, url)
    try:
        yield
    finally:
        server.should_exit = server.force_exit = True
        thread.join()


def _begun(server: Server, sock: socket.socket, url: str) -> threading.Thread:
    """Return the thread in which a server answers by now."""
    run = partial(server.run, sockets=[sock])
    thread = threading.Thread(target=run, name="server", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise StageError(f"the server at {url} could not begin")
        time.sleep(0.005)
    return thread


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that is bound, before anything is loaded; ConfigError where it cannot be."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(found[0], socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(found[4])
        except BaseException:
            sock.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise ConfigError(
            f"port {port} of {host} is taken"
            if taken
            else f"{host}:{port} cannot be listened at: {error}",
            hint="--port 0 takes any that is free.",
        ) from error
    return sock


def config(made: object) -> uvicorn.Config:
    """Return how an application is run: as it is, and silently."""
    return uvicorn.Config(
        made,  # type: ignore[arg-type]  # an application of Starlette's
        http=guard.Patient,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="critical",  # what was asked is in none of its lines: it writes none
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        # Longer than clients keep one: whoever asks again must not meet a connection that closes.
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=CLOSING_S,
    )


def batch(base: BaseModel, rows: int) -> tuple[Batch, Shelf]:
    """Return a batch of so many rows, and the shelf of its adapters, of this machine's size."""
    from bakery.engine.memory import cache_bytes
    from bakery.engine.serving.batch import Batch
    from bakery.engine.serving.slices import Shelf

    room = cache_bytes(base.device)
    shelf = Shelf(base, most_bytes=room)
    return Batch(base, shelf, rows=rows, cache_bytes=room), shelf


def serving(
    sock: socket.socket, catalogue: Catalogue, tokens: Sequence[str], rows: int | None
) -> Serving:
    """Return where a server is, and what it serves; `rows` None: its engine says how many."""
    host, port = sock.getsockname()[:2]
    local = ANYWHERE.get(host)
    at = local or host
    at = f"[{at}]" if ":" in at else at
    name = socket.gethostname() if local else None
    bakes = sum(one.parent is not None and one.name == one.model for one in catalogue.listed())
    return Serving(
        f"http://{at}:{port}/v1",
        catalogue.label,
        catalogue.base_name,
        bakes,
        bool(tokens),
        rows,
        elsewhere=f"http://{name}:{port}/v1" if name else None,
    )
