"""How far two adapters are apart in the weights: the Frobenius norm of the difference of B·A.

Exact without building O·I numbers where the ranks are few: with QR of both factors,
‖B·A‖ = ‖R_B·R_Aᵀ‖. What both have in the same ranks cancels before anything is computed, so the
difference of a bake from its parent is the norm of its own slice and nothing else. In fp64, and
without torch. Shapes: R rank · I inputs · O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from bakery.engine.models import adapter_head
from bakery.engine.models.adapter_folder import WEIGHTS
from bakery.errors import ModelError
from bakery.json_file import DamagedError

_IN_PEFT, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True, slots=True)
class Delta:
    """One matrix of the model: what each adapter adds to it, and how far these are apart."""

    name: str
    apart: float
    old: float
    new: float


def deltas(old: Path | None, new: Path | None) -> list[Delta]:
    """Return every matrix that either adapter changes; None: the base, which adds nothing.

    Raises ModelError where a folder holds no composed adapter.
    """
    ours, theirs = _factors(old), _factors(new)
    return [
        Delta(name, norm(*_apart(ours.get(name), theirs.get(name))),
              norm(*ours[name]) if name in ours else 0.0,
              norm(*theirs[name]) if name in theirs else 0.0)
        for name in sorted({*ours, *theirs})
    ]  # fmt: skip


Factors = tuple[np.ndarray, np.ndarray]


def norm(a_RI: np.ndarray, b_OR: np.ndarray) -> float:
    """Return the Frobenius norm of B·A, by whichever way is cheaper."""
    rank = len(a_RI)
    if rank == 0:
        return 0.0
    if rank >= min(a_RI.shape[1], b_OR.shape[0]):
        return float(np.linalg.norm(b_OR @ a_RI))
    upper_of_a_RR, upper_of_b_RR = (np.asarray(np.linalg.qr(m, mode="r")) for m in (a_RI.T, b_OR))
    return float(np.linalg.norm(upper_of_b_RR @ upper_of_a_RR.T))


def _apart(old: Factors | None, new: Factors | None) -> Factors:
    """Return the factors of what the new adds and the old does not."""
    if old is None or new is None:
        found = old if new is None else new
        assert found is not None  # one of them has the matrix
        return found
    (a_old, b_old), (a_new, b_new) = old, new
    if a_old.shape[1] != a_new.shape[1] or b_old.shape[0] != b_new.shape[0]:
        raise ModelError("the adapters are of models of different shapes")
    same = 0
    for row_old, row_new, col_old, col_new in _ranks(old, new):
        if not (np.array_equal(row_old, row_new) and np.array_equal(col_old, col_new)):
            break
        same += 1
    a_RI = np.concatenate([a_new[same:], a_old[same:]])
    b_OR = np.concatenate([b_new[:, same:], -b_old[:, same:]], axis=1)
    return a_RI, b_OR


def _ranks(old: Factors, new: Factors) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the rows of A and the columns of B of both, rank by rank."""
    return zip(old[0], new[0], old[1].T, new[1].T, strict=False)


def _factors(folder: Path | None) -> dict[str, Factors]:
    """Return A and B of each matrix that an adapter changes, in fp64."""
    if folder is None:
        return {}
    path = folder / WEIGHTS
    try:
        layers = adapter_head.read(path).layers
        tensors = load_file(path)
    except (DamagedError, OSError, SafetensorError) as error:
        raise ModelError(f"{path} is no composed adapter: {error}") from error
    return {
        name: (
            tensors[f"{_IN_PEFT}{name}{_A}"].astype(np.float64),
            tensors[f"{_IN_PEFT}{name}{_B}"].astype(np.float64),
        )
        for name in layers
    }
