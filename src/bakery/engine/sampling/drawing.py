"""Which token comes next: a row's own random numbers, what changes its logits, and the draw.

Shapes: B batch · T time · V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bakery.identity import SamplingSettings

MOST_DRAWN = 1 << 23
"""Probabilities that are summed at once, in fp64."""


class Draw:
    """Draws for rows of the same settings."""

    def __init__(self, settings: SamplingSettings) -> None:
        self._settings, self._warpers = settings, _warpers(settings)
        # Only a penalty on repetition reads what was said before.
        self._reads = settings.repetition_penalty != 1
        self._counts = settings.frequency_penalty != 0 or settings.presence_penalty != 0

    def next(
        self,
        logits_BV: torch.Tensor,
        u_B: torch.Tensor,
        prompts: Sequence[Sequence[int]],
        answers: Sequence[Sequence[int]],
    ) -> torch.Tensor:
        """Return a token (B,) for every row, which has a prompt and an answer so far."""
        both = zip(prompts, answers, strict=True)
        told = [(*prompt, *said) if self._reads else () for prompt, said in both]
        if self._counts:
            logits_BV = _less_said(logits_BV, answers, self._settings)
        seen_BT = _so_far(told, logits_BV.device)
        return _choose(logits_BV, u_B, self._settings, self._warpers, seen_BT)


def uniforms(key: str, count: int) -> np.ndarray:
    """Return one uniform in [0, 1) per position, from the request's key alone."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def _warpers(settings: SamplingSettings) -> LogitsProcessorList:
    """Return what changes the logits, in the order in which transformers applies it."""
    warpers = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        warpers.append(RepetitionPenaltyLogitsProcessor(float(settings.repetition_penalty)))
    if settings.temperature not in (0.0, 1.0):
        warpers.append(TemperatureLogitsWarper(float(settings.temperature)))
    if settings.top_k:
        warpers.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        warpers.append(TopPLogitsWarper(settings.top_p))
    if settings.min_p:
        warpers.append(MinPLogitsWarper(settings.min_p))
    return warpers


def _so_far(rows: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    """Return the ids (B, T) of prompts and answers; shorter rows repeat an id of their own."""
    width = max(map(len, rows))
    padded = [[*row, *[row[0]] * (width - len(row))] if row else [] for row in rows]
    return torch.tensor(padded, dtype=torch.long, device=device)


def _less_said(
    logits_BV: torch.Tensor, answers: Sequence[Sequence[int]], settings: SamplingSettings
) -> torch.Tensor:
    """Take the penalties off what each answer holds: for being there, and for each time."""
    logits_BV = logits_BV.float().clone()
    for row, said in enumerate(answers):
        ids, times = np.unique(np.asarray(said, dtype=np.int64), return_counts=True)
        penalty = settings.presence_penalty + settings.frequency_penalty * times
        at = torch.as_tensor(ids, device=logits_BV.device)
        logits_BV[row, at] -= torch.as_tensor(penalty, dtype=torch.float32, device=at.device)
    return logits_BV


def _choose(
    logits_BV: torch.Tensor,
    u_B: torch.Tensor,
    settings: SamplingSettings,
    warpers: LogitsProcessorList,
    seen_BT: torch.Tensor,
) -> torch.Tensor:
    """Draw from the distribution by its inverse CDF, summed in fp64."""
    rows = max(1, MOST_DRAWN // logits_BV.shape[-1])
    if len(logits_BV) > rows:  # fp64 sums of a large vocabulary, a few rows at a time
        pieces = zip(*(t.split(rows) for t in (logits_BV, u_B, seen_BT)), strict=True)
        return torch.cat([_choose(x, u, settings, warpers, ids) for x, u, ids in pieces])
    logits_BV = warpers(seen_BT, logits_BV.float())
    if settings.temperature == 0:
        return logits_BV.argmax(dim=-1)
    cdf_BV = logits_BV.softmax(dim=-1).double().cumsum(dim=-1)
    chosen_B = torch.searchsorted(cdf_BV, (u_B.double() * cdf_BV[:, -1])[:, None], right=True)
    return chosen_B[:, 0].clamp(max=logits_BV.shape[-1] - 1)
