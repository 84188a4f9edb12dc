"""Weights put together from slices of others, without any training.

An adapter adds B·A to its layers, and a sum of such products is one with more ranks: slices of
two models side by side do exactly what both do. `together` takes fewer, the nearest; `ties` has
each weight follow the sign that most of both say (Yadav et al. 2023, arXiv 2306.01708).
Shapes: R rank · K ranks that are kept · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft.utils.merge_utils import ties as elected
from safetensors import safe_open
from safetensors.torch import save_file

from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import (
    WEIGHTS,
    Slice,
    slices,
    write_config,
    write_slices,
)
from bakery.engine.models.compressed import nearest
from bakery.errors import ModelError

_IN_PEFT = "base_model.model."

Factors = Mapping[str, tuple[torch.Tensor, torch.Tensor]]
"""A (R, I) and B (O, R) of each layer."""

DENSITY = 0.5
"""The share of the weights of either side that `ties` keeps, the largest."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The ranks of one bake, in the folder of an adapter that has them as they were trained."""

    bake_id: str
    folder: Path


def write(
    out: Path,
    own: Factors,
    *,
    bake_id: str,
    parent: Path | None,
    base: str,
    revision: str = "",
) -> int:
    """Write a composed adapter: the parent's ranks as they are, then these; return its rank."""
    older = slices(parent) if parent else []
    start = older[-1].stop if older else 0
    (width,) = {len(a_RI) for a_RI, _ in own.values()}
    before = factors(parent) if parent else {}
    tensors: dict[str, torch.Tensor] = {}
    for name in sorted({*before, *own}):
        pairs = [
            found[name] if name in found else _nothing(like[name], ranks)
            for found, like, ranks in ((before, own, start), (own, before, width))
            if ranks
        ]
        tensors[f"{_IN_PEFT}{name}.lora_A.weight"] = torch.cat([a for a, _ in pairs]).contiguous()
        b_OR = torch.cat([b for _, b in pairs], dim=1)
        tensors[f"{_IN_PEFT}{name}.lora_B.weight"] = b_OR.contiguous()
    rows = [*older, Slice(bake_id, start, start + width)]
    return _save(out, tensors, rows, base=base, revision=revision)


def apart(out: Path, taken: Sequence[Taken], *, base: str, revision: str = "") -> int:
    """Write the slices of bakes side by side, each told from the others; return how many ranks."""
    parts = [slice_of(one) for one in taken]
    rows, start = [], 0
    for one, part in zip(taken, parts, strict=True):
        stop = start + len(next(iter(part.values()))[0])
        rows.append(Slice(one.bake_id, start, stop))
        start = stop
    tensors = {}
    for name, (a_RI, b_OR) in side_by_side(parts).items():
        tensors[f"{_IN_PEFT}{name}.lora_A.weight"] = a_RI.contiguous()
        tensors[f"{_IN_PEFT}{name}.lora_B.weight"] = b_OR.contiguous()
    return _save(out, tensors, rows, base=base, revision=revision)


def _save(
    out: Path, tensors: dict[str, torch.Tensor], rows: Sequence[Slice], *, base: str, revision: str
) -> int:
    out.mkdir(parents=True)
    save_file(tensors, str(out / WEIGHTS), metadata={"format": "pt"})
    write_slices(out, rows)
    return write_config(out, base=base, revision=revision)


def of(taken: Sequence[Taken]) -> Factors:
    """Return the slices of bakes as one: what all of them add, exactly."""
    return side_by_side([slice_of(one) for one in taken])


def side_by_side(parts: Sequence[Factors]) -> Factors:
    """Return factors with the ranks of all parts, in their order."""
    ranks = [len(next(iter(part.values()))[0]) for part in parts]
    found = {}
    for name in sorted(set().union(*parts)):
        like = next(part[name] for part in parts if name in part)
        pairs = [
            part.get(name) or _nothing(like, rank) for part, rank in zip(parts, ranks, strict=True)
        ]
        found[name] = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs], dim=1)
    return found


def together(sides: Sequence[Factors], rank: int) -> Factors:
    """Return the nearest of that rank to what the sides add together."""
    whole = side_by_side(sides)
    return {name: _padded(nearest(a, b, rank)[:2], rank) for name, (a, b) in whole.items()}


def ties(sides: Sequence[Factors], rank: int) -> Factors:
    """Return the nearest of that rank to what the sides elect, weight by weight.

    Of each side the largest weights are kept (`DENSITY`); where signs differ the greater sum
    wins, and those of its sign are averaged.
    """
    found = {}
    for name in sorted(set().union(*sides)):
        deltas = [b.double() @ a.double() for a, b in (s[name] for s in sides if name in s)]
        if len(deltas) > 1:
            weights = torch.ones(len(deltas), dtype=torch.float64)
            chosen_OI = elected(deltas, weights, DENSITY)
        else:
            chosen_OI = deltas[0]
        eye = torch.eye(chosen_OI.shape[1], dtype=torch.float64)
        found[name] = _padded(nearest(eye, chosen_OI, rank)[:2], rank)
    return found


def factors(folder: Path) -> Factors:
    """Return all that a composed adapter holds."""
    with safe_open(str(folder / WEIGHTS), framework="pt") as file:
        return {
            name: (
                file.get_tensor(f"{_IN_PEFT}{name}.lora_A.weight"),
                file.get_tensor(f"{_IN_PEFT}{name}.lora_B.weight"),
            )
            for name in adapter_head.read(folder / WEIGHTS).layers
        }


def slice_of(one: Taken) -> Factors:
    """Return a bake's own ranks, out of a folder that has them."""
    part = next((part for part in slices(one.folder) if part.bake_id == one.bake_id), None)
    if part is None:
        raise ModelError(
            f"the adapter in {one.folder} has no ranks of bake {one.bake_id}",
            hint="`bgit import DIR` takes the bake's own weights from another clone.",
        )
    ranks = slice(part.start, part.stop)
    return {name: (a[ranks], b[:, ranks]) for name, (a, b) in factors(one.folder).items()}


def _nothing(
    like: tuple[torch.Tensor, torch.Tensor], rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    a_RI, b_OR = like
    return torch.zeros(rank, a_RI.shape[1]), torch.zeros(b_OR.shape[0], rank)


def _padded(
    pair: tuple[torch.Tensor, torch.Tensor], rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return factors of that rank: a narrow layer has fewer, and nothing in the others."""
    a_KI, b_OK = pair
    short, pad = rank - len(a_KI), torch.nn.functional.pad
    return pad(a_KI, (0, 0, 0, short)), pad(b_OK, (0, short))
