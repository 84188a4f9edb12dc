"""Thousands of spoilt inputs, each given to the real commands, and each answered in a sentence."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.attack.trial import deadline
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material

KINDS = {
    "input": ("input_yml", 4000),
    "yaml": ("flat", 2000),
    "flags": ("flat", 2000),
    "bread": ("tracked", 500),
    "recipe": ("tracked", 400),
    "rows": ("rows", 1200),
    "store": ("stored", 300),
    "model": ("folders", 250),
    "adapter": ("weights", 250),
}
"""What is spoilt: the module that does it, and how many of a whole campaign's cases it has."""

COUNT = sum(share for _, share in KINDS.values())


def cases(count: int = COUNT, *, seed: int = 0, only: Sequence[str] = ()) -> list[str]:
    """Return so many cases, shared among the kinds as a whole campaign is."""
    chosen = {kind: share for kind, (_, share) in KINDS.items() if not only or kind in only}
    every = sum(chosen.values())
    counts = {kind: max(1, round(count * share / every)) for kind, share in chosen.items()}
    return [f"{kind}:{seed + number}" for kind, n in counts.items() for number in range(n)]


def prepare(material: Material, folder: Path) -> Callable[[str], Outcome]:
    """Return what tries one case, in a folder of its own; kinds are made ready when first met."""
    ready: dict[str, Callable[[str], Outcome]] = {}

    def trial(case: str) -> Outcome:
        kind = case.partition(":")[0]
        name, _ = KINDS[kind]
        if name not in ready:
            module = importlib.import_module(f"tools.attack.mutations.{name}")
            ready[name] = module.surface(folder, material)
        with deadline():
            return ready[name](case)

    return trial
