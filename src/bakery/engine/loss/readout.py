"""From a model to the logits of chosen positions and their divergence, without building others.

What the LM head reads is captured and selected; the head is applied to the selection only. What
a model makes of the head's product (a scale, a soft cap) is found out by a probe. Where that
fails, or the head is itself trained and so not the teacher's, the model's logits are selected.
Shapes: N target positions · D hidden · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from typing import Any

import torch
from torch import nn

from bakery.engine.loss import fused, likeliest, moments
from bakery.engine.loss.forms import Form
from bakery.engine.loss.head import Head
from bakery.engine.loss.losses import Divergence, Loss
from bakery.engine.modes import evaluating

PROBE_TOLERANCE = 1e-4
"""Largest difference, relative to the largest logit, that counts as rounding in fp32."""
PROBED_LOGITS = 60.0
"""What a model makes of the head's product is looked at between minus and plus this."""
CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Where configurations keep the cap of cap · tanh(logit / cap)."""
SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")
"""Where they keep a factor of the logits, or its inverse: the same name is used both ways."""

Stub = Callable[[torch.Tensor], torch.Tensor]


class Readout:
    """Selects features (N, D or V) of positions, and turns features into logits (N, V)."""

    def __init__(self, model: nn.Module) -> None:
        self._head: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
        self._scale = 1.0
        self._softcap: float | None = None
        self.seen: tuple[int, torch.dtype] | None = None
        """Width and type of features, once somebody has asked for some."""
        self.other: Readout | None = None
        """What reads the teacher, where that is another model (`other_readout`)."""
        self.exact = self._probe(model)
        """Whether features are hidden states that the frozen head gives the logits back from."""

    @property
    def width(self) -> int:
        """Return how many numbers the head reads at a position, D."""
        return int(self.head.weight.shape[1])

    @property
    def vocabulary(self) -> int:
        """Return how many tokens the head has rows for, V."""
        return len(self.head.weight)

    @property
    def moments_width(self) -> int:
        """Return how many numbers the moments of a teacher are at a position."""
        return self.width + moments.EXTRA

    @property
    def own_form(self) -> Form:
        """Return what its features are to whoever learns from them."""
        return Form.WHOLE

    @property
    def how(self) -> str:
        """Return how a divergence is computed: "fused" with the head, or from all "logits"."""
        return "fused" if self.exact else "logits"

    def features(
        self, model: nn.Module, inputs: Mapping[str, Any], rows: torch.Tensor, cols: torch.Tensor
    ) -> torch.Tensor:
        """Return what is known at positions (rows, cols): hidden states, else logits.

        `inputs` is what the model's forward takes.
        """
        if not self.exact:
            return model(**inputs, use_cache=False).logits[rows, cols]
        with self._captured() as hidden:
            model(**inputs, use_cache=False)
        return hidden()[rows, cols]

    def keeps_moments(self, loss: Loss) -> bool:
        """Tell whether a loss needs nothing of a teacher but its moments."""
        return self.exact and moments.apply(self.head, loss)

    def form(self, loss: Loss, whole: int, *, likeliest_only: bool = False) -> Form:
        """Return what is kept of a teacher for a loss, where `whole` numbers a position are all.

        With `likeliest_only` its most likely tokens, where the loss reads no others.
        """
        if likeliest_only and likeliest.width(loss, whole) is not None:
            return Form.LIKELIEST
        return Form.MOMENTS if self.keeps_moments(loss) else self.own_form

    def kept(self, features: torch.Tensor, loss: Loss, form: Form) -> torch.Tensor:
        """Return what is kept of a teacher's features (N, D) in a form."""
        if form is Form.MOMENTS:
            return moments.of_teacher(features, self.head)
        if form is Form.LIKELIEST:
            assert isinstance(loss, Divergence)  # no other keeps them
            if self.exact:
                return likeliest.of_hidden(features, self.head, loss)
            return likeliest.of_logits(features, loss)
        return features

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (N, V) of features (N, D), or the features where they are logits."""
        return self.head.logits(features) if self.exact else features

    def divergence(
        self,
        model: nn.Module,
        inputs: Mapping[str, Any],
        rows: torch.Tensor,
        cols: torch.Tensor,
        teacher: torch.Tensor,
        weights_N: torch.Tensor,
        loss: Loss,
        form: Form = Form.WHOLE,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return Σ weight · divergence with its gradient, and each position's divergence (N,).

        `teacher` is what is kept of it at the same positions (rows, cols), in `form`. Computed
        inside the model's forward, so that what wraps it sees an ordinary one.
        """
        if not self.exact:
            student_NV = model(**inputs, use_cache=False).logits[rows, cols]
            values_N = _apart(*self._both(student_NV, teacher, form), loss, form)
            return (values_N * weights_N).sum(), values_N.detach()
        found: list[tuple[torch.Tensor, torch.Tensor]] = []

        def stub(hidden: torch.Tensor) -> torch.Tensor:
            student_ND = hidden[rows, cols]
            given = student_ND, teacher, weights_N, self.head, loss, form
            found.append(fused.weighted_sum(*given))
            return found[-1][0].expand(*hidden.shape[:-1], 1)

        with self._instead(stub):
            output = model(**inputs, use_cache=False).logits
        total, values_N = found[0]
        # A wrapper that watches its outputs has to see the gradient come back through them.
        return total + 0.0 * output.sum(), values_N

    def compare(
        self,
        features: torch.Tensor,
        teacher: torch.Tensor,
        loss: Loss,
        form: Form = Form.WHOLE,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return each position's divergence (N,), and whether first choices agree (N,).

        `teacher` is what is kept of its features, in `form`. No more logits are built at a time
        than `fused` allows.
        """
        if self.exact:
            values_N, agreed_N = fused.compare(features, teacher, self.head, loss, form)
        else:
            with torch.no_grad():
                features, teacher = self._both(features, teacher, form)
                values_N = _apart(features, teacher, loss, form)
                agreed_N = features.argmax(-1) == _first_choice(teacher, loss, form)
        return values_N, agreed_N & values_N.isfinite()  # logits that are no numbers agree on none

    @property
    def head(self) -> Head:
        """Return the head as it stands now: wrappers and moves replace its tensors."""
        weight, bias = self._head.weight, getattr(self._head, "bias", None)
        other = self.other.head if self.other is not None and self.other.exact else None
        return Head(weight, bias, self._scale, self._softcap, other)  # type: ignore[arg-type]

    def _both(
        self, student_NV: torch.Tensor, teacher: torch.Tensor, form: Form
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return both sides, over the same rows where the teacher's are another model's."""
        if form is not Form.OTHER:
            return student_NV, teacher
        assert self.other is not None  # whose features they are
        rows = min(self.vocabulary, self.other.vocabulary)
        return student_NV[:, :rows], self.other.logits(teacher)[:, :rows]

    @contextmanager
    def _captured(self) -> Iterator[Callable[[], torch.Tensor]]:
        """Keep the head's input of one forward, and leave its product out."""
        kept: list[torch.Tensor] = []

        def stub(hidden: torch.Tensor) -> torch.Tensor:
            kept.append(hidden)
            return hidden[..., :1]

        with self._instead(stub):
            yield lambda: kept[0]

    @contextmanager
    def _instead(self, stub: Stub) -> Iterator[None]:
        """Put a stub in the head's place, on the instance, for one forward."""
        self._head.forward = lambda hidden, *_, **__: stub(hidden)
        try:
            yield
        finally:
            del self._head.forward

    @torch.no_grad()
    def _probe(self, model: nn.Module) -> bool:
        """Find scale and cap; tell whether a frozen head with them gives the model's logits."""
        if not _is_frozen_product(self._head):
            return False
        ids = torch.arange(2, 10, device=next(model.parameters()).device)[None]
        given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}
        with evaluating(model):
            found = self._transform(model, given)
            if found is None:
                return False
            self._scale, self._softcap = found
            with self._captured() as hidden:
                model(**given)
            return _close(self.head.logits(hidden()), model(**given).logits)

    def _transform(
        self, model: nn.Module, given: Mapping[str, Any]
    ) -> tuple[float, float | None] | None:
        """Return scale and cap of what the model does to known logits, or None: something else."""
        weight = self.head.weight
        known_V = torch.linspace(-PROBED_LOGITS, PROBED_LOGITS, len(weight)).to(weight)

        def stub(hidden: torch.Tensor) -> torch.Tensor:
            return known_V.expand(*hidden.shape[:-1], -1)

        with self._instead(stub):
            seen = model(**given).logits
        for scale, cap in candidates(model.config.get_text_config()):  # type: ignore[union-attr, operator]
            ours_V = Head(weight, scale=scale, softcap=cap).transformed(known_V.float())
            if _close(ours_V.expand(*seen.shape[:-1], -1), seen):
                return scale, cap
        return None


def _apart(student_NV: torch.Tensor, teacher: torch.Tensor, loss: Loss, form: Form) -> torch.Tensor:
    """Return the divergence (N,) of logits from what is kept of a teacher's."""
    if form is Form.LIKELIEST:
        assert isinstance(loss, Divergence)  # no other keeps them
        return likeliest.divergence(student_NV, teacher, loss)
    return loss(student_NV, teacher)


def _first_choice(teacher: torch.Tensor, loss: Loss, form: Form) -> torch.Tensor:
    if form is Form.LIKELIEST:
        assert isinstance(loss, Divergence)  # no other keeps them
        return likeliest.first_choice(teacher, loss)
    return teacher.argmax(-1)


def candidates(config: Any) -> list[tuple[float, float | None]]:
    """Return the scales and caps that a configuration may mean, the plain one last."""
    named = [getattr(config, name, None) for name in SCALES]
    scales = [x for value in named if value for x in (float(value), 1.0 / float(value))]
    caps = [float(cap) for name in CAPS if (cap := getattr(config, name, None))]
    return list(product([*scales, 1.0], [*caps, None]))


def _is_frozen_product(head: nn.Module | None) -> bool:
    """Tell whether the head is one matrix that no bake changes: no adapter on it, no gradient."""
    weight = getattr(head, "weight", None)
    if head is None or not isinstance(weight, torch.Tensor) or weight.dim() != 2:
        return False
    trained = any(parameter.requires_grad for parameter in head.parameters())
    return weight.is_floating_point() and not trained and not list(head.children())


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Tell whether two tensors of logits are equal but for rounding."""
    if ours.shape != theirs.shape:
        return False
    rounding = max(PROBE_TOLERANCE, torch.finfo(theirs.dtype).eps)
    largest = theirs.float().abs().max()
    return bool((ours.float() - theirs.float()).abs().max() <= rounding * largest)
