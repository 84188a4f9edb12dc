"""What is measured, in what sizes, and how long each case may take.

A case is a process of its own, so that what runs out of memory or of time ends alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.workload import Workload

CHECKED_HIDDEN = 512
"""D of that check: all of the vocabulary is in it, as kernels go through that by blocks."""
LIMIT_S = 465.0
"""Of all cases together: under eight minutes, with what is done between them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a random model like Qwen3."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Size:
    """Everything that is larger on a GPU than it can be on a CPU."""

    name: str
    shapes: dict[str, Shape]
    """Which models: how fast they are sampled and trained."""
    agreeing: dict[str, Shape]
    """Which models: are their losses right. The CPU has to run them in fp32."""
    speed: Workload
    agreement: Workload
    positions: int
    """N of a loss with its gradient, whose D and V are of the last shape."""
    checked: int
    """N of the check before it, which is in fp64 on the CPU, at `CHECKED_HIDDEN` at most."""
    peak: int
    """Rows and columns of the product that shares are of."""
    warm_up: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Case:
    """One process: what it does, with what, and after how many seconds it is cut."""

    kind: str
    what: str
    budget_s: float
    is_needed: bool = True
    """Whether the run has failed where this one has: it is ours, not what ours is set against."""

    @property
    def name(self) -> str:
        """What it is called by: in a file, and on a command line."""
        return f"{self.kind}:{self.what}"


_SMALL = Shape(64, 2, 2, 1, 32, 128, True, 500)
_WIDE = Shape(4096, 36, 32, 8, 128, 12288, False, 151_936)
_NARROW = Shape(1024, 28, 16, 8, 128, 3072, True, 151_936)

FULL = Size(
    name="full",
    shapes={"Qwen3-0.6B": _NARROW, "Qwen3-8B": _WIDE},
    # All 36 layers of the large one would take the CPU longer than all other cases together.
    agreeing={
        "Qwen3-0.6B": _NARROW,
        "Qwen3-8B, 8 layers": Shape(4096, 8, 32, 8, 128, 12288, False, 151_936),
    },
    speed=Workload(
        prefix=1024, vocab=151_936, answer=128, epochs=3, prompts=32, samples=8, rows=32
    ),
    agreement=Workload(prefix=128, vocab=151_936, answer=32, prompts=4, samples=0, rows=4),
    positions=4096,
    checked=64,
    peak=8192,
    warm_up=2,
    repeats=7,
)
SMALL = Size(
    name="small",
    shapes={"small": _SMALL},
    agreeing={"small": _SMALL},
    speed=Workload(prefix=64, vocab=500, answer=8, epochs=3, prompts=4, samples=2, rows=4),
    agreement=Workload(prefix=64, vocab=500, answer=16, prompts=8, samples=0, rows=8),
    positions=128,
    checked=64,
    peak=256,
    warm_up=1,
    repeats=3,
)
SIZES = {size.name: size for size in (FULL, SMALL)}

SIDES = {"ours": 25.0, "plain": 25.0, "compiled": 55.0, "liger": 30.0, "triton": 30.0}
"""Who computes a loss with its gradient, and in how many seconds."""
GIVEN = "given"
"""The model of `--model`, in the name of a case."""
AGREEMENT_S = {"Qwen3-0.6B": 55.0, "Qwen3-8B, 8 layers": 75.0, GIVEN: 90.0}
SPEED_S = {"Qwen3-0.6B": 65.0, "Qwen3-8B": 95.0, GIVEN: 75.0}
USUAL_S = 60.0


def cases(size: Size, *, given: bool) -> list[Case]:
    """Return all cases in their order: right first, then fast; a model that is `given`, too."""
    return [*_agreement(size, given), *_losses(), *_speed(size, given)]


def _agreement(size: Size, given: bool) -> Iterator[Case]:
    for name in (*size.agreeing, *([GIVEN] if given else [])):
        yield Case("agreement", name, AGREEMENT_S.get(name, USUAL_S))


def _losses() -> Iterator[Case]:
    for side, budget_s in SIDES.items():
        yield Case("loss", side, budget_s, is_needed=side == "ours")


def _speed(size: Size, given: bool) -> Iterator[Case]:
    # The given one before the largest: what is left of the time goes to what was asked for.
    first, *rest = size.shapes
    for name in (first, *([GIVEN] if given else []), *rest):
        yield Case("speed", name, SPEED_S.get(name, USUAL_S))
