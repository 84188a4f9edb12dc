"""The engine's own attention, as one implementation among those of transformers.

A layer hands over its queries, keys and values; a `Layout`, which travels through the model's
forward as a keyword, knows who may see whom. Without padding there is nothing to mask, and a
prefix that many rows share is multiplied once for all of them: the parts of an attention over
disjoint keys are merged by their log-sum-exp (Hydragen, arXiv 2402.05099).

Shapes: H heads · J heads of keys (H = J x G) · T queries · S keys · d head size · X any batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from torch import nn
from transformers import AttentionInterface, PreTrainedConfig

NAME = "bakery"
"""What the implementation is called in a model's configuration."""

KEYWORD = "bakery_layout"
"""The keyword of a model's forward that carries the layout to every layer."""

LOWEST = -1e30
"""Stands for the maximum of no scores at all: finite, so that nothing becomes NaN."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What one layer does with its scores."""

    scale: float
    window: int | None = None
    """A query sees this many positions, its own included (sliding-window attention)."""
    softcap: float | None = None
    sinks: torch.Tensor | None = None
    """One score (H,) per head that takes its share and gives nothing."""
    dropout: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether scores go into the softmax as they are."""
        return self.softcap is None and self.sinks is None


class Layout(Protocol):
    """Knows which queries see which keys."""

    def attend(
        self, layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Turn q (B, H, T, d), k and v (B, J, T, d) into (B, H, T, d)."""


Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Attention to some of the keys: weighted values (X, T, d), the their sum and maximum (X, T, 1)."""


def _implementation(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **told: Any,
) -> tuple[torch.Tensor, None]:
    layout: Layout | None = told.get(KEYWORD)
    if layout is None:
        raise RuntimeError("this model does not pass the layout on to its attention")
    scale = told.get("scaling")
    rule = Rule(
        scale=query.shape[-1] ** -0.5 if scale is None else float(scale),
        window=told.get("sliding_window"),
        softcap=told.get("softcap"),
        sinks=told.get("s_aux"),
        dropout=float(told.get("dropout") or 0.0),
    )
    out = layout.attend(module, query, key, value, rule)
    return out.transpose(1, 2), None


AttentionInterface.register(NAME, _implementation)


def configs_of(model: nn.Module) -> list[PreTrainedConfig]:
    """Return every configuration that modules of the model read, the outermost first."""
    found = {
        id(m.config): m.config
        for m in model.modules()
        if isinstance(getattr(m, "config", None), PreTrainedConfig)
    }
    return list(found.values())


@contextmanager
def attending(configs: Sequence[PreTrainedConfig]) -> Iterator[None]:
    """Have the models of these configurations use the engine's attention."""
    before = [config._attn_implementation for config in configs]
    for config in configs:
        config._attn_implementation = NAME
    try:
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name


def most_scores(device: torch.device) -> int:
    """Return how many scores are held at once: on a CPU what its caches hold."""
    return 1 << 20 if device.type == "cpu" else 1 << 26


def explicit(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rule: Rule,
    hidden_TS: torch.Tensor,
) -> torch.Tensor:
    """Attention as it is written down, for gradients: q (H, T, d), k and v (J, S, d) → (H, T, d).

    `hidden_TS` is true where a query must not see a key.
    """
    heads, time, size = q.shape
    groups = heads // len(k)
    scores = (q.reshape(len(k), groups * time, size) @ k.mT).view(heads, time, -1) * rule.scale
    scores = capped(scores.float(), rule.softcap).masked_fill(hidden_TS, -torch.inf)
    if rule.sinks is not None:
        sinks = rule.sinks.float().view(heads, 1, 1).expand(heads, time, 1)
        weights = torch.cat([scores, sinks], dim=-1).softmax(dim=-1)[..., :-1]
    else:
        weights = scores.softmax(dim=-1)
    weights = F.dropout(weights.to(v.dtype), rule.dropout, training=rule.dropout > 0)
    return (weights.view(len(k), groups * time, -1) @ v).view(heads, time, size)


def capped(scores: torch.Tensor, softcap: float | None) -> torch.Tensor:
    """Bend scores into (-softcap, softcap), as Gemma-2 does."""
    return scores if softcap is None else (scores / softcap).tanh() * softcap


def part(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rule: Rule,
    hidden: torch.Tensor | None = None,
) -> Part:
    """Attend from q (X, T, d) to the keys k, v (X, S, d) alone. No gradient.

    `hidden` (broadcast to (X, T, S)) is true where a query must not see a key.
    """
    scores = capped(((q * rule.scale) @ k.mT).float(), rule.softcap)
    if hidden is not None:
        scores.masked_fill_(hidden, -torch.inf)
    top = scores.amax(dim=-1, keepdim=True).clamp_min_(LOWEST)
    weights = scores.sub_(top).exp_()
    total = weights.sum(dim=-1, keepdim=True)
    if v.dtype == torch.float16:  # a sum over many keys leaves its range, a mean does not
        mean = (weights / total.clamp_min(torch.finfo(torch.float32).tiny)).to(v.dtype) @ v
        return mean.float() * total, total, top
    return (weights.to(v.dtype) @ v).float(), total, top


def merged(parts: Sequence[Part], sinks: torch.Tensor | None = None) -> torch.Tensor:
    """Return the attention over the keys of all parts; `sinks` (X, T, 1) only take their share."""
    top = parts[0][2]
    for _, _, other in parts[1:]:
        top = torch.maximum(top, other)
    if sinks is not None:
        top = torch.maximum(top, sinks)
    values, total = torch.zeros_like(parts[0][0]), torch.zeros_like(top)
    for value, weight, own in parts:
        share = (own - top).exp_()
        values.addcmul_(value, share)
        total.addcmul_(weight, share)
    if sinks is not None:
        total += (sinks - top).exp_()
    return values.div_(total)


def folded(q: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """Put what belongs to all heads of one key head side by side: (H, T, .) → (J, G T, .)."""
    return q.reshape(kv_heads, -1, q.shape[-1])
