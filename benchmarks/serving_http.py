"""Tokens per CPU second of whole servers, over HTTP: `python -m benchmarks.serving_http`.

Ours over eight models, ours with one of them, and where a Python with `transformers[serving]` is
given (`--transformers PYTHON`) its server with that one merged, with continuous batching and
without; in the same run, without HTTP: PEFT with one adapter, all rows at once and one by one.
What counts is the CPU time of the server's process between the first request and the last token.
Rounds go around all sides and ratios are taken within a round; one thread each.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.request import urlopen

import openai
import psutil
import torch

from bakery.app.serve import Listed, Served
from bakery.engine.models.adapters import attach_parent
from bakery.engine.sampling.sampling import SampleRequest, sample
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt
from bakery.reporting import Quiet
from bakery.server import app, running
from bakery.server.thread import Decoding
from benchmarks.serving import ROWS, World, endless, made

ONE = "1"
"""The model that is served alone: a chain of two, as in `benchmarks.serving`."""

SERIAL = "transformers serve"
FEW = 4
"""Rows that are decoded one by one: a rate that is that of more, too."""

START_S, ANSWER_S = 300.0, 600.0
THREADS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

AIM_MIXED, AIM_DECODER, AIM_OTHER = 0.85, 0.7, 2.0


@dataclass(frozen=True, slots=True)
class Side:
    """A server that runs: what it is called, and the names of its models."""

    name: str
    url: str
    process: psutil.Process
    models: tuple[str, ...]

    @property
    def is_transformers(self) -> bool:
        """Whether it is the server of transformers."""
        return self.name.startswith("transformers")


def main() -> None:
    """Measure, and print a table with the ratios that are aimed at; or be one of the servers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving_http", description=__doc__)
    parser.add_argument("--base", default="tiny", help="a model's name, folder or GGUF file")
    parser.add_argument("--rank", type=int, default=16, help="of each bake")
    parser.add_argument("--tokens", type=int, default=48, help="of each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--transformers", metavar="PYTHON", help="one with transformers[serving]")
    parser.add_argument("--be", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.be:
        _serve(asked.base, Path(asked.be), asked.port)
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        world = made(asked.base, Path(folder), asked.rank)
        sides = [opened.enter_context(one) for one in _servers(asked, world, Path(folder))]
        print(f"{asked.base}, rank {asked.rank}, answers of {asked.tokens} tokens; tokens per CPU "
              f"second of the server, medians of {asked.rounds}")  # fmt: skip
        for rows in asked.rows:
            _measure(world, sides, rows, asked.tokens, asked.rounds)


def _measure(world: World, sides: list[Side], rows: int, tokens: int, rounds: int) -> None:
    """Measure all sides with so many rows, and print their rates and ratios."""
    peft = _Peft(world, tokens)
    works: dict[str, Callable[[], float]] = {
        "PEFT, rows at once": lambda: peft.rate(rows, at_once=True),
        "PEFT, one by one": lambda: peft.rate(rows, at_once=False),
    }
    works |= {side.name: lambda s=side: _rate(s, rows, tokens) for side in sides}  # type: ignore[misc]
    for side in sides:
        _rate(side, rows, tokens)  # loads what it needs
    rates = [{name: work() for name, work in works.items()} for _ in range(rounds)]

    def ratio(over: str, under: str) -> float:
        return statistics.median(one[over] / one[under] for one in rates)

    print(f"{rows} rows")
    for name in works:
        print(f"  {name:<44}{statistics.median(one[name] for one in rates):>8,.0f}")
    decoder, alone, mixed, one, *others = works
    print(f"  eight models / one: {ratio(mixed, one):.2f} (aim: {AIM_MIXED})")
    print(f"  one / decoder: {ratio(one, decoder):.2f} (aim: {AIM_DECODER})")
    print(f"  eight / PEFT one by one: {ratio(mixed, alone):.2f}")
    for other in others:
        print(f"  one / {other}: {ratio(one, other):.2f} (aim: {AIM_OTHER})", flush=True)


def _rate(side: Side, rows: int, tokens: int) -> float:
    """Return the tokens that a server told per second of its own CPU time."""
    rows = rows if side.name != SERIAL else min(rows, FEW)
    made = openai.OpenAI(base_url=side.url, api_key="none", max_retries=0, timeout=ANSWER_S)
    with made as client, ThreadPoolExecutor(rows) as pool:
        begin = _cpu_s(side.process)
        told = list(pool.map(lambda number: _told(client, side, number, tokens), range(rows)))
        took = _cpu_s(side.process) - begin
    assert min(told) > tokens // 2, f"{side.name}: answers of {sorted(told)} tokens"
    return sum(told) / took


def _told(client: openai.OpenAI, side: Side, number: int, tokens: int) -> int:
    """Stream one answer; return its tokens."""
    asked: dict[str, Any] = {
        "model": side.models[number % len(side.models)], "messages": _asked(number),
        "temperature": 0, "max_tokens": tokens, "stream": True,
    }  # fmt: skip
    if not side.is_transformers:  # whose last event has the usage, asked for or not
        asked["stream_options"] = {"include_usage": True}
    used, pieces = 0, 0
    for event in client.chat.completions.create(**asked):
        used = event.usage.completion_tokens if event.usage else used
        pieces += any(one.delta.content for one in event.choices)
    return used or pieces


def _asked(number: int) -> list[Message]:
    return [{"role": "user", "content": f"Tell me all about the number {number}."}]


def _cpu_s(process: psutil.Process) -> float:
    spent = process.cpu_times()
    return float(spent.user + spent.system)


def _servers(
    asked: argparse.Namespace, world: World, folder: Path
) -> Iterator[AbstractContextManager[Side]]:
    names = tuple(map(str, range(len(world.folders))))
    mine = [sys.executable, "-m", "benchmarks.serving_http", "--base", asked.base]
    mine += ["--be", str(folder)]
    yield _running("ours, eight models", mine, names)
    yield _running("ours, one model", mine, (ONE,))
    if asked.transformers:
        merged = _merged(world, folder / "merged")
        serve = [asked.transformers, "-m", "transformers.cli.transformers", "serve", str(merged)]
        serve += ["--device", "cpu", "--dtype", "float32"]
        yield _running(SERIAL, serve, (str(merged),))
        more = "--continuous-batching"
        yield _running(f"transformers serve {more}", [*serve, more], (str(merged),))


@contextmanager
def _running(name: str, command: list[str], models: tuple[str, ...]) -> Iterator[Side]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env={**os.environ, **THREADS}, stdout=log, stderr=log
        )
        try:
            side = Side(name, f"http://127.0.0.1:{port}/v1", psutil.Process(process.pid), models)
            _wait(process, f"http://127.0.0.1:{port}/health", log)
            yield side
        finally:
            process.terminate()
            process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: IO[bytes]) -> None:
    late = time.monotonic() + START_S
    while time.monotonic() < late and process.poll() is None:
        with suppress(OSError), urlopen(url, timeout=10):
            return
        time.sleep(0.5)
    log.seek(0)
    raise SystemExit(f"{url} does not answer:\n{log.read().decode(errors='replace')[-2000:]}")


def _merged(world: World, folder: Path) -> Path:
    """Write one of the models as a whole one whose answers end by their length alone."""
    base = endless(world.base.id.name)
    merged = attach_parent(base.model, world.folders[int(ONE)]).merge_and_unload()
    merged.generation_config.eos_token_id = None
    merged.config.eos_token_id = None
    merged.save_pretrained(folder)
    base.chat.tokenizer.save_pretrained(folder)
    return folder


class _Catalogue:
    """Adapters of a folder, by their numbers; otherwise as the catalogue of a repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Served:
        return Served(name, self._folder / name)

    def listed(self) -> tuple[Listed, ...]:
        return ()


def _serve(base: str, folder: Path, port: int) -> None:
    """Answer as the adapters of a folder until it is told to end: the whole of `bgit serve`."""
    loaded = endless(base)
    batch, shelf = running.batch(loaded, running.ROWS)
    most = running.ROWS * (1 + running.WAITING)
    decoding = Decoding(batch, shelf, most=most, reporter=Quiet())
    catalogue: Any = _Catalogue(folder)
    served, house = app.made(catalogue, loaded, decoding, reporter=Quiet())
    running.Server(running.config(served), house).run([running.listening("127.0.0.1", port)])


class _Peft:
    """One adapter on its base as PEFT has it, and the product's own decoder, without HTTP."""

    def __init__(self, world: World, tokens: int) -> None:
        self._how = SamplingSettings(1, tokens, temperature=0)
        base = endless(world.base.id.name)
        self._base, self._model = base, attach_parent(base.model, world.folders[int(ONE)])

    def rate(self, rows: int, *, at_once: bool) -> float:
        """Return tokens per CPU second."""
        rows = rows if at_once else min(rows, FEW)
        asked = []
        for number in range(rows):
            ids = self._base.chat.prefix_ids(Prompt(), _asked(number))
            asked.append(SampleRequest(f"{number}", tuple(ids)))
        begin = time.process_time()
        for some in [asked] if at_once else [[one] for one in asked]:
            for _ in sample(self._model, some, self._how, end_ids=frozenset(), pad_id=0):
                pass
        return rows * self._how.max_tokens / (time.process_time() - begin)


if __name__ == "__main__":
    main()
