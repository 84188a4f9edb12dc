"""A teacher that is another model than the one that learns: larger, of the same tokens."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from bakery.engine.loss.other_readout import OtherReadout
from bakery.engine.loss.readout import Readout
from bakery.engine.models.models import BaseModel


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The model as it answers, with the base that its adapters lie on, and what reads it."""

    base: BaseModel
    model: nn.Module
    readout: OtherReadout

    @classmethod
    def of(cls, base: BaseModel, model: nn.Module, student: Readout) -> Elsewhere:
        """Have a model teach a student, whose own readout compares both from then on."""
        return cls(base, model, OtherReadout(model, student))
