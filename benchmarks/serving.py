"""Tokens per CPU second of rows of one model and of eight: `python -m benchmarks.serving`.

The bare decoder with one adapter through PEFT, a batch of one model, a batch over eight models
(half of them a chain, half apart), and what a prefix cache spares. The one model is a chain of two,
which has about as many ranks as the eight have on average. One thread; rounds go around all sides,
and ratios are taken within a round, so a machine that drifts does so for all of them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.engine.models.adapters import attach_parent
from bakery.engine.models.models import BaseModel
from bakery.engine.sampling.sampling import SampleRequest, sample
from bakery.engine.serving import mixing
from bakery.engine.serving.asking import Ask, Mix, Token
from bakery.engine.serving.batch import Batch
from bakery.engine.serving.slices import Shelf
from bakery.identity import SamplingSettings
from tests.support.disagreeing import adapter

ROWS = (1, 8, 32)
GROUPED_RANKS = (8, 16, 32, 64)
AIM_MIXED, AIM_FIRST = 0.85, 0.2
PREFIX, QUESTION = 512, 16
"""Tokens that are cached, and tokens behind them."""
ROOM = 1 << 32


@dataclass(frozen=True, slots=True)
class World:
    """A base that never ends a turn, and adapters for it: a chain of four, and four apart."""

    base: BaseModel
    folders: tuple[Path, ...]


def main() -> None:
    """Measure, and print a table with the ratios that are aimed at."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--base", default="tiny", help="a model's name, folder or GGUF file")
    parser.add_argument("--rank", type=int, default=16, help="of each bake")
    parser.add_argument("--tokens", type=int, default=48, help="of each answer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument(
        "--grouping", action="store_true", help="rows by lineage against all ranks in one product"
    )
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.grouping:
        _grouping(asked)
        return
    with tempfile.TemporaryDirectory() as folder:
        world = made(asked.base, Path(folder), asked.rank)
        print(f"{asked.base}, rank {asked.rank}; tokens per CPU second, medians of {asked.rounds}")
        print(f"{'rows':>4}{'decoder, PEFT':>16}{'one model':>12}{'8 models':>12}"
              f"{'one/decoder':>14}{'8/one':>8}{'8/decoder':>11}")  # fmt: skip
        for rows in asked.rows:
            _answers(world, rows, asked.tokens, asked.rounds)
        _first_tokens(world, asked.rounds)


def made(name: str, folder: Path, rank: int) -> World:
    """Load a base, and write adapters for it to a folder."""
    base = endless(name)
    bakes = [f"{i}" * 16 for i in range(8)]
    chain = [[(bake, rank) for bake in bakes[: i + 1]] for i in range(4)]
    apart = [[(bake, rank)] for bake in bakes[4:]]
    return World(
        base,
        tuple(
            adapter(folder / f"{i}", base, ranks, strong=0.01)
            for i, ranks in enumerate([*chain, *apart])
        ),
    )


def endless(name: str) -> BaseModel:
    """Load a base whose answers end by their length alone."""
    base = models.load(bases.identify(name), dtype="float32")
    base.chat.end_ids = frozenset()
    torch.set_num_threads(1)
    return base


def _answers(world: World, rows: int, tokens: int, rounds: int) -> None:
    """Measure answers of so many rows on all sides, and print a line."""
    how = SamplingSettings(1, tokens, temperature=0)
    prompts = [_ids(i, QUESTION) for i in range(rows)]
    peft = attach_parent(endless(world.base.id.name).model, world.folders[1])
    shelf = Shelf(world.base, most_bytes=ROOM)
    mixes = [Mix(tuple((key, 1.0) for key in shelf.of(folder))) for folder in world.folders]

    def decoder() -> None:
        requests = [SampleRequest(f"{i}", ids) for i, ids in enumerate(prompts)]
        for _ in sample(peft, requests, how, end_ids=frozenset(), pad_id=0):
            pass

    batched = [_batched(world, shelf, prompts, how, some) for some in (mixes[1:2], mixes)]
    sides = (decoder, *batched)
    for side in sides:
        side()
    took = [[_cpu_s(side) for side in sides] for _ in range(rounds)]
    rates = [statistics.median(rows * tokens / one[i] for one in took) for i in range(3)]
    pairs = [(1, 0), (2, 1), (2, 0)]
    ratios = [statistics.median(one[b] / one[a] for one in took) for a, b in pairs]
    print(f"{rows:>4}{rates[0]:>16,.0f}{rates[1]:>12,.0f}{rates[2]:>12,.0f}"
          f"{ratios[0]:>14.2f}{ratios[1]:>8.2f}{ratios[2]:>11.2f}", flush=True)  # fmt: skip


def _batched(
    world: World, shelf: Shelf, prompts: list[tuple[int, ...]], how: SamplingSettings,
    mixes: list[Mix],
) -> Callable[[], None]:  # fmt: skip
    """Return what answers prompts by turns as each of some models."""
    batch = Batch(world.base, shelf, rows=len(prompts), cache_bytes=0)

    def run() -> None:
        for i, ids in enumerate(prompts):
            batch.join(Ask(f"{i}", ids, how, mixes[i % len(mixes)]))
        while len(batch):
            batch.step()

    return run


def _grouping(asked: argparse.Namespace) -> None:
    """Measure eight models with their rows grouped and not, and print a line for each rank."""
    how = SamplingSettings(1, asked.tokens, temperature=0)
    print(f"{asked.base}, eight models; tokens per CPU second, medians of {asked.rounds}")
    print(f"{'rank':>4}{'rows':>6}{'in one':>10}{'by lineage':>12}{'ratio':>8}{'chosen':>12}")
    for rank in GROUPED_RANKS:
        with tempfile.TemporaryDirectory() as folder:
            world = made(asked.base, Path(folder), rank)
            shelf = Shelf(world.base, most_bytes=ROOM)
            mixes = [Mix(tuple((key, 1.0) for key in shelf.of(one))) for one in world.folders]
            for rows in asked.rows:
                prompts = [_ids(i, QUESTION) for i in range(rows)]
                run = _batched(world, shelf, prompts, how, mixes)
                run()
                ways = (math.inf, 0.0, mixing.SPARED)
                took = [[_spared(run, way) for way in ways] for _ in range(asked.rounds)]
                one, by, own = (
                    statistics.median(rows * asked.tokens / each[i] for each in took)
                    for i in range(3)
                )
                print(f"{rank:>4}{rows:>6}{one:>10,.0f}{by:>12,.0f}{by / one:>8.2f}{own:>12,.0f}",
                      flush=True)  # fmt: skip


def _spared(run: Callable[[], None], least: float) -> float:
    """Return the CPU seconds where rows are grouped from so many products on."""
    usual, mixing.SPARED = mixing.SPARED, least
    try:
        return _cpu_s(run)
    finally:
        mixing.SPARED = usual


def _first_tokens(world: World, rounds: int) -> None:
    """Measure first tokens behind a long prefix, with and without the cache, and print a line."""
    how = SamplingSettings(1, 1, temperature=0)
    shelf = Shelf(world.base, most_bytes=ROOM)
    mix = Mix(tuple((key, 1.0) for key in shelf.of(world.folders[3])))
    prefix = _ids(99, PREFIX)
    took: dict[int, list[float]] = {0: [], ROOM: []}
    batches = {size: Batch(world.base, shelf, rows=8, cache_bytes=size) for size in took}
    for number in range(rounds + 1):
        for size, batch in batches.items():
            took[size].append(_cpu_s(lambda b=batch, n=number: _first(b, mix, prefix, n, how)))
    ratio = statistics.median(b / a for a, b in zip(took[0][1:], took[ROOM][1:], strict=True))
    without, cached = (statistics.median(times[1:]) for times in (took[0], took[ROOM]))
    print(
        f"first tokens of 8 rows behind {PREFIX}: {without:.3f} CPU s, cached {cached:.3f}: "
        f"{ratio:.2f} (aim: at most {AIM_FIRST})"
    )


def _first(
    batch: Batch, mix: Mix, prefix: tuple[int, ...], number: int, how: SamplingSettings
) -> None:
    for i in range(8):
        batch.join(Ask(f"{i}", (*prefix, *_ids(number * 8 + i, QUESTION)), how, mix))
    found = []
    while len(batch):
        found += [one for one in batch.step() if isinstance(one, Token)]
    assert len(found) == 8


def _ids(seed: int, count: int) -> tuple[int, ...]:
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(5, 250, (count,), generator=draw).tolist())


def _cpu_s(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


if __name__ == "__main__":
    main()
