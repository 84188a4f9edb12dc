"""llama.cpp: the base and each bake's slice of ranks as GGUF files, and how much of each is asked.

A model is a number for every slice, so a chain costs no more than its parts, and a strength
nothing. Each request says all of them: one that is left out would be what it was at the start. And
nothing is taken from the cache of prompts, which says nothing of what it was computed with: a
request at one strength would go on from another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from bakery.app.serve import Served
from bakery.errors import ConfigError
from bakery.server.handed.engine import LOOPBACK, Engine, Start

if TYPE_CHECKING:
    from httpx2 import AsyncClient


class LlamaCpp(Engine):
    """llama-server of llama.cpp. It has the slices of its first models, and takes no others."""

    name, title, program = "llama.cpp", "llama.cpp", "llama-server"

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._base = start.place if start.place.is_file() else self._base_file()
        self._ids: dict[str, int] = {}
        """The number of each slice in the engine."""
        for model in start.models:
            for adapter, _ in start.adapters.slices(model):
                if adapter.key not in self._ids:
                    path = start.adapters.room / self._file(adapter.key)
                    start.gguf.adapter(adapter.folder, path)
                    self._ids[adapter.key] = len(self._ids)

    @classmethod
    def refuse(cls, program: Path, said: str) -> None:
        """Take every version: none is known to be wrong as it is asked here."""

    @property
    def folder(self) -> Path:
        """Where it runs: its files are named from there, as in a path a comma divides."""
        return self.start.adapters.room

    def command(self) -> list[str]:
        """Return the line that starts it."""
        start = self.start
        loras = [word for key in self._ids for word in ("--lora", self._file(key))]
        return [
            str(start.program),
            "--model", str(self._base),
            "--alias", start.base_name,
            "--host", LOOPBACK, "--port", str(start.port),
            "--jinja",  # the base's own template
            "--ctx-size", "0",
            *loras,
            "--lora-init-without-apply",
            *(["--parallel", str(start.rows)] if start.rows else []),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return what is no flag of it."""
        return {"LLAMA_API_KEY": self.start.key, "LLAMA_OFFLINE": "1"}

    @asynccontextmanager
    async def holding(self, client: AsyncClient, served: Served) -> AsyncIterator[dict[str, Any]]:
        """Give how much of each slice a model has."""
        scales = dict.fromkeys(self._ids, 0.0)
        for adapter, strength in await run_in_threadpool(self.start.adapters.slices, served):
            if adapter.key not in scales:
                raise ConfigError(
                    f"{served.name} was not there when llama.cpp was started, and it takes nothing "
                    "more",
                    hint="Start the server again, with its name where no branch stands at it.",
                )
            scales[adapter.key] = strength
        lora = [{"id": number, "scale": scales[key]} for key, number in self._ids.items()]
        yield {"model": self.start.base_name, "cache_prompt": False, "lora": lora}

    def _file(self, key: str) -> str:
        return f"{key}.gguf"

    def _base_file(self) -> Path:
        """Return the base as a GGUF file, which is kept for the next start."""
        start = self.start
        path = start.adapters.room.parent / f"base-{start.base.digest[:16]}.gguf"
        if not path.is_file():
            draft = start.adapters.room / path.name
            start.gguf.base(draft)
            draft.replace(path)
        return path
