"""What is measured: every case by name, the sides it is measured on, and what is left out.

`bake`, `fresh`, `pairs`: whole bakes. `sampling`: answers and the teacher's record alone.
`step`, `train`: training against a bare loop over the same tokens. `memory`: one step at a large
vocabulary. `grid`: bakes over all sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from benchmarks.workload import Workload

VOCABULARIES = {2_000: "2k", 32_000: "32k", 152_000: "152k"}


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a table. `kind` says what the sides do (see `sides.SIDES`)."""

    name: str
    kind: str
    title: str
    workload: Workload
    sides: tuple[str, ...]
    goals: Mapping[str, float] = field(default_factory=dict)
    """Side → how many times less than it ours shall take; for the floor: at most how many more;
    for `speed`: how many tokens per CPU second at least."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Side → why it is not measured here."""


def _bake(prefix: int, epochs: int, *, fresh: bool = False, **goals: float) -> Case:
    kind = "fresh" if fresh else "bake"
    how = f"{epochs} {'fresh ' if fresh else ''}epoch{'s' if epochs > 1 else ''}"
    return Case(
        f"{kind}-{prefix}x{epochs}",
        kind,
        f"prefix {prefix:,}, {how}",
        Workload(prefix=prefix, epochs=epochs),
        # The others sample anew in every epoch anyway: `bake` has them.
        ("ours",) if fresh else ("ours", "trl", "plain"),
        goals,
    )


def _step(vocab: int, floor: float) -> Case:
    name = VOCABULARIES[vocab]
    workload = Workload(prefix=64, vocab=vocab)
    return Case(
        f"step-{name}",
        "step",
        f"one step, |V| {name}",
        workload,
        ("ours", "floor", "fitting"),
        {"floor": floor},
    )


def _memory(rows: int, prefix: int, **goals: float) -> Case:
    workload = Workload(prefix=prefix, vocab=152_000, prompts=rows, samples=0, rows=rows)
    logits_gb = rows * (prefix + workload.prompt + workload.answer) * 152_000 * 4 / 1e9
    too_much = {"plain": f"its logits alone are {logits_gb:.0f} GB"} if logits_gb > 16 else {}
    sides = tuple(side for side in ("ours", "plain") if side not in too_much)
    return Case(
        f"memory-{rows}x{prefix}",
        "memory",
        f"{rows} rows behind {prefix:,}",
        workload,
        sides,
        goals,
        too_much,
    )


def _grid(vocab: int, prefix: int, answer: int, epochs: int) -> Case:
    name = VOCABULARIES[vocab]
    workload = Workload(vocab=vocab, prefix=prefix, answer=answer, epochs=epochs)
    left_out = _too_expensive(workload)
    if epochs > 1:
        again = dict.fromkeys(
            ("trl", "plain"), "keeps nothing between epochs: ~ is so many times one"
        )
        left_out = again | left_out
    return Case(
        f"grid-{name}-{prefix}-{answer}x{epochs}",
        "bake",
        f"{name:>4} {prefix:>5,} {answer:>3} x{epochs}",
        workload,
        tuple(side for side in ("ours", "trl", "plain") if side not in left_out),
        {},
        left_out,
    )


def _too_expensive(workload: Workload) -> dict[str, str]:
    """Return which of the others are not run here, and why; ours is run everywhere."""
    logits_gb = 4 * (workload.prefix + workload.prompt + workload.answer) * workload.vocab * 4 / 1e9
    if workload.prefix >= 4096 and workload.answer >= 512:
        return dict.fromkeys(("trl", "plain"), "by estimate over ten minutes for one epoch")
    if workload.vocab >= 152_000 and workload.answer >= 512:
        return dict.fromkeys(("trl", "plain"), "by estimate over ten minutes and 10 GB")
    if logits_gb > 10:
        return {"plain": f"its logits alone are {logits_gb:.0f} GB"}
    return {}


CASES = (
    _bake(64, 1, trl=1.8),
    _bake(1024, 1, trl=8, plain=9),
    _bake(1024, 3, trl=12, plain=15),
    _bake(1024, 3, fresh=True),
    _bake(4096, 3, trl=45, plain=35),
    Case(
        "pairs-2048x3",
        "pairs",
        "pairs, prefix 2,048, 3 epochs",
        Workload(prefix=2048, epochs=3, prompts=32, samples=0),
        ("ours", "plain"),
        {"plain": 8},
    ),
    Case(
        "sampling-1024", "sampling", "prefix 1,024", Workload(), ("ours", "plain"), {"speed": 2000}
    ),
    Case("sampling-4096", "sampling", "prefix 4,096", Workload(prefix=4096), ("ours", "plain")),
    _step(2_000, 1.15),
    _step(32_000, 1.15),
    _step(152_000, 1.75),
    Case(
        "train-2k",
        "train",
        "train(), 20 steps, |V| 2k",
        Workload(prefix=64, epochs=10),
        ("ours", "floor"),
        {"floor": 1.3},
    ),
    _memory(16, 256, plain=10),
    _memory(4, 256),
    _memory(4, 4096, plain=20),
    _memory(16, 4096),
)

GRID = tuple(
    _grid(vocab, prefix, answer, epochs)
    for vocab, prefix, answer, epochs in product(VOCABULARIES, (64, 1024, 4096), (64, 512), (1, 3))
)

QUICK = ("bake-64x1", "bake-1024x1", "sampling-1024", "step-2k")
"""About two minutes, once each."""


def chosen(only: list[str], *, quick: bool = False, grid: bool = False) -> list[Case]:
    """Return the cases whose names begin with one of `only`, else all, else the quick ones."""
    everything = [*CASES, *GRID]
    if only:
        return [case for case in everything if case.name.startswith(tuple(only))]
    if quick:
        return [case for case in CASES if case.name in QUICK]
    return everything if grid else list(CASES)
