"""Reads a teacher that is another model than the student, with the same tokens and its own head.

What it says is kept as its own hidden states, to be turned into logits by its own head when they
are compared; or, for forward KL, as the moments of what it says in the *student's* head.
Shapes: N target positions · D features · V vocabulary of the student · R positions of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bakery.engine.loss import likeliest, moments, other_head
from bakery.engine.loss.forms import Form
from bakery.engine.loss.losses import Divergence, Loss
from bakery.engine.loss.readout import Readout


class OtherReadout(Readout):
    """Reads a teacher that is another model, for a student's readout."""

    def __init__(self, model: nn.Module, student: Readout) -> None:
        super().__init__(model)
        self._student = student
        student.other = self

    @property
    def moments_width(self) -> int:
        """Return how many numbers moments are: the student reads them."""
        return self._student.moments_width

    @property
    def own_form(self) -> Form:
        """Return what its features are to the student."""
        return Form.OTHER

    def keeps_moments(self, loss: Loss) -> bool:
        """Tell whether the student needs nothing but moments for a loss."""
        return self._student.keeps_moments(loss)

    def kept(self, features: torch.Tensor, loss: Loss, form: Form) -> torch.Tensor:
        """Return what is kept of features (N, D) in a form that the student reads."""
        if form is Form.OTHER or not len(features):
            return features
        whole = self.chunks(features)
        if form is Form.MOMENTS:
            return torch.cat([moments.of_logits(z_RV, self._student.head) for z_RV in whole])
        assert isinstance(loss, Divergence)  # no other keeps its likeliest tokens
        return torch.cat([likeliest.of_logits(z_RV, loss) for z_RV in whole])

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (N, V) of features, over the student's rows, in fp32."""
        return torch.cat(list(self.chunks(features)))

    def chunks(self, features: torch.Tensor) -> Iterator[torch.Tensor]:
        """Yield the same in chunks (R, V)."""
        wanted = self._student.vocabulary
        found = other_head.chunks(features, self.head if self.exact else None, wanted)
        return (other_head.padded(z_RV, wanted) for z_RV in found)
