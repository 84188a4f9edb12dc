"""From a repository to a server behind which an engine of others answers, and to its end."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from bakery import masking
from bakery.app import verify
from bakery.app.serve import HANDED, Catalogue, Served
from bakery.app.verify import Verified
from bakery.errors import BakeryError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.server import running
from bakery.server.handed import engine as engines
from bakery.server.handed import gguf, process, proxy
from bakery.server.handed.adapters import Adapters
from bakery.server.handed.engine import LOOPBACK, Engine, Gguf, Start
from bakery.server.handed.llama_cpp import LlamaCpp
from bakery.server.handed.process import Process
from bakery.server.handed.proxy import House
from bakery.server.handed.vllm import VLLM
from bakery.server.running import Running, Server
from bakery.store import drafts

KINDS: dict[str, type[Engine]] = {kind.name: kind for kind in (VLLM, LlamaCpp)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which engine, and what it has from the beginning.

    `program` None: the one on the PATH. `models` empty: what the branches stand at. `checked` are
    asked their probes before anybody else may ask.
    """

    engine: str
    program: Path | None = None
    models: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    rows: int | None = None
    gguf: Gguf | None = None


class Handed(Running):
    """A server behind which an engine runs."""

    process: Process

    def run(self) -> None:
        """Answer until SIGTERM or Ctrl-C; StageError where the engine ends before."""
        super().run()
        if not self.is_draining:
            self.process.check()


@contextmanager
def opened(
    repo: ModelRepo,
    wanted: Wanted,
    *,
    host: str = LOOPBACK,
    port: int = 8000,
    tokens: Sequence[str] = (),
    reporter: Reporter,
) -> Iterator[Handed]:
    """Give a server that is ready to run; engine and all are gone in the end.

    What can be refused is refused before the engine starts, which may take minutes.
    """
    kind = KINDS[wanted.engine]
    running.check_reach(host, tokens)
    program = engines.found(kind, wanted.program)
    with ExitStack() as held:
        sock = held.enter_context(closing(running.listening(host, port)))
        catalogue = held.enter_context(closing(Catalogue(repo)))
        for name in wanted.checked:
            verify.check(repo, name)
        models = _models(catalogue, wanted)
        engines.checked(kind, program, reporter)
        place = catalogue.files()
        room = held.enter_context(drafts.draft(repo.store.root / HANDED, kind.name))
        start = Start(
            program, catalogue.base, catalogue.base_name, place,
            Adapters(room, catalogue.base_name), models, *_largest(catalogue),
            wanted.rows, _free_port(), secrets.token_urlsafe(32),
            wanted.gguf or gguf.Written(catalogue.base, reporter),
        )  # fmt: skip
        masking.keep(start.key)
        with reporter.doing(f"writing what {kind.title} reads"):
            engine = kind(start)
        log = repo.store.root / HANDED / f"{kind.name}-{sock.getsockname()[1]}.log"
        begun = held.enter_context(
            process.running(
                kind.title, engine.command(), engine.environment(), log, folder=engine.folder
            )
        )
        reporter.note(f"what {kind.title} says goes to {log}")
        with reporter.doing(f"starting {kind.title}"):
            begun.wait(engine.is_well)
        most = proxy.MOST if wanted.rows is None else wanted.rows * (1 + running.WAITING)
        house = House(catalogue, engine, begun, reporter, most)
        verified = _verified(repo, house, wanted.checked)
        server = Server(running.config(proxy.made(house, tokens=tokens)), house)
        serving = running.serving(sock, catalogue, tokens, wanted.rows)
        found = Handed(sock, catalogue, server, replace(serving, engine=kind.name))
        found.process = begun
        found.verified = tuple(replace(one, url=found.url) for one in verified)
        held.callback(found.close)
        yield found


def _models(catalogue: Catalogue, wanted: Wanted) -> tuple[Served, ...]:
    """Return the models that an engine has from the beginning, each once."""
    found = [catalogue.find(name) for name in (*wanted.models, *wanted.checked)]
    for place in () if wanted.models else catalogue.repo.lineage().branches:
        with suppress(BakeryError):  # its weights are in another clone: who asks for it is told
            found.append(catalogue.find(place.name))
    return tuple({one.name: one for one in found}.values())


def _largest(catalogue: Catalogue) -> tuple[int, int]:
    """Return the largest rank of all models whose weights are here, and how many these are."""
    from bakery.engine.models import adapter_head
    from bakery.engine.models.adapter_folder import WEIGHTS

    ranks = []
    for folder in catalogue.folders():
        with suppress(ValueError, OSError):  # damaged: who asks for it is told
            ranks.append(adapter_head.read(folder / WEIGHTS).rank)
    return max(ranks, default=1), len(ranks)


def _verified(repo: ModelRepo, house: House, names: Sequence[str]) -> tuple[Verified, ...]:
    """Ask an engine the probes of bakes, at a port that nobody else knows the key of."""
    if not names:
        return ()
    key = secrets.token_urlsafe(32)
    masking.keep(key)
    with closing(running.listening(LOOPBACK, 0)) as sock:
        url = f"http://{LOOPBACK}:{sock.getsockname()[1]}/v1"
        server = Server(running.config(proxy.made(house, tokens=[key])), house)
        with running.in_thread(server, sock, url):
            return tuple(
                verify.verify(repo, url, name, key=key, reporter=house.reporter) for name in names
            )


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        port: int = sock.getsockname()[1]
        return port
