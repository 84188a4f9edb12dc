"""Where an adapter starts: fitted by least squares, or at random as it was drawn.

A fit is kept only where it brings the student nearer to the teacher, on answers that it was not
made from where there are any.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel

from bakery import json_file
from bakery.card import together
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters
from bakery.engine.modes import evaluating
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.fidelity import fidelity
from bakery.engine.teacher.keeping import live
from bakery.engine.teacher.teacher import KeptTeacher
from bakery.engine.text.views import Pair
from bakery.engine.training import first_weights
from bakery.errors import ModelError
from bakery.identity import short_id
from bakery.records import write_atomic
from bakery.shaping import FirstWeights

FILE = "start.json"

ROUNDING = 1e-5
"""Nats per token that teacher and student may differ by where both see the same."""

NOTHING_TO_CLOSE = "the prompt does not move the parent"

LOOKED_AT = 8
"""Answers on which a fit is tried."""

FEW = 16
"""So many answers, or half of all, are enough to fit: the steps behind it learn from the others."""


def fitted(
    student: PeftModel,
    readout: Readout,
    pairs: Sequence[Pair],
    asked: FirstWeights,
    *,
    adapter: str = adapters.BAKE,
) -> str | None:
    """Fit the new adapter's first weights; return why it starts at random instead, if it does."""
    # Of all questions alike, whatever they are called.
    mixed = sorted(pairs, key=lambda pair: short_id(["first weights", pair.key]))
    most = max(FEW, len(mixed) // 2)
    drawn = {name: tensor.clone() for name, tensor in adapters.own_state(student).items()}
    looked_at = mixed[-LOOKED_AT:]
    teacher = KeptTeacher(live(student, readout, looked_at), looked_at)
    before = _distance(student, readout, teacher, looked_at)
    if before < ROUNDING:
        return NOTHING_TO_CLOSE
    why = first_weights.fit(
        student,
        (mixed[:-LOOKED_AT] or mixed)[:most],
        adapter=adapter,
        ridge=asked.ridge,
        most_tokens=asked.most_tokens,
    )
    if why is None and not _distance(student, readout, teacher, looked_at) < before:
        adapters.put_own_state(student, drawn)
        why = "fitted weights are no nearer to the teacher"
    return why


def written(out: Path, why_random: str | None) -> list[str]:
    """Write down how an adapter starts, for a run that goes on; return what is said of it."""
    write_atomic(out / FILE, json.dumps({"random": why_random}) + "\n")
    return notes(out)


def notes(out: Path) -> list[str]:
    """Return what a person should know about how an adapter started."""
    why = why_random(out)
    return [f"the adapter starts at random instead of fitted: {why}"] if why else []


def why_random(out: Path) -> str | None:
    """Return why the adapter of a run that goes on started at random; None: it was fitted."""
    path = out / FILE
    if not path.is_file():
        return None
    try:
        why = json_file.load_object(path)["random"]
        if why is not None and not isinstance(why, str):
            raise ValueError("it gives no reason")
    except (ValueError, KeyError) as error:
        raise ModelError(
            f"{path} does not say how the adapter started",
            hint=f"Delete {out}, and run it again from its start.",
        ) from error
    return why


def _distance(
    student: PeftModel, readout: Readout, teacher: Features, pairs: Sequence[Pair]
) -> float:
    """Return the divergence from the teacher, in nats per token."""
    with evaluating(student), torch.no_grad():
        found = together(fidelity(student, readout, teacher, pairs))
    return found.kl if found else float("inf")
