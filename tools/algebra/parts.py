"""The parts of a seed, each in repositories of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from algebra import long
from algebra.making import Place, against, merged, moved_about
from forgetting import cases

PARTS = ("merged", "voices", "against", "moved", "long")


def of(part: str, seed: int, folder: Path, base: str) -> Any:
    """Make a part of one seed, in repositories of its own.

    `tiny` learns of its own world, another base what `recipes/real` bakes.
    """
    if part == "long":
        return long.made(Place(folder, f"long-{seed}", base, seed), seed)
    if base != "tiny":
        persona, second, first = cases.real()
    else:
        persona, _, first, second, _ = cases.tiny(seed)
    if part == "against":
        return against(Place(folder, f"names-{seed}", base, seed))
    if part == "moved":
        return moved_about(Place(folder, f"chain-{seed}", base, seed), (first, persona, second))
    if part == "voices":
        return merged(Place(folder, f"voice-{seed}", base, seed), first, persona)
    return merged(Place(folder, f"facts-{seed}", base, seed), first, second)
