"""`bakery.serve`: a server for as long as a block runs, for tests and notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bakery.api import asked
from bakery.api.told import told
from bakery.repo.model_repo import ModelRepo

if TYPE_CHECKING:
    from bakery.app.verify import Verified


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. `url` is what a client of OpenAI's takes as its `base_url`."""

    url: str


@contextmanager
def serve(
    repo: str | Path = ".",
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token_file: str | Path | None = None,
    rows: int = 32,
    progress: bool = False,
) -> Iterator[Server]:
    """Answer as every model of a repository by OpenAI's API, until the block ends.

    repo        the folder of a repository; `Repo.serve` is that of a `bakery.Repo`
    port        0: any that is free
    token_file  the tokens that may ask, one a line; needed where `host` is not this machine alone
    rows        how many answers are decoded at once

        with bakery.serve("yoda") as server:
            client = openai.OpenAI(base_url=server.url, api_key="none")
            asked = [{"role": "user", "content": "Who are you?"}]
            client.chat.completions.create(model="yoda_bake:0.5", messages=asked)

    Raises ConfigError where the port is taken, before anything is loaded.
    """
    from bakery.server import guard, running

    asked.number(port, "port", least=0, most=65535, whole=True)
    asked.number(rows, "rows", least=1, most=1024, whole=True)
    found = ModelRepo.find(asked.path(repo, "the repository"))
    tokens = () if token_file is None else guard.tokens(asked.path(token_file, "token_file"))
    with (
        told(progress) as reporter,
        running.opened(
            found, host=host, port=port, tokens=tokens, rows=rows, reporter=reporter
        ) as server,
    ):
        server.start()
        yield Server(server.url)


class Serving:
    """Answers over HTTP, and servers that are asked: a part of `Repo`."""

    _repo: ModelRepo
    _progress: bool

    @contextmanager
    def serve(
        self, *, host: str = "127.0.0.1", port: int = 0, token_file: str | Path | None = None,
        rows: int = 32,
    ) -> Iterator[Server]:  # fmt: skip
        """Answer as every model of the repository, until the block ends: see `bakery.serve`."""
        with serve(
            self._repo.root, host=host, port=port, token_file=token_file, rows=rows,
            progress=self._progress,
        ) as server:  # fmt: skip
            yield server

    def verify(self, url: str, name: str = "parent", *, served: str | None = None) -> Verified:
        """Ask a server the probes of a bake, to tell whether it is that bake; `served`: as what."""
        from bakery.app import verify

        with told(self._progress) as reporter:
            return verify.verify(self._repo, url, name, served=served, reporter=reporter)
