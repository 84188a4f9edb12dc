"""Prefixes in, sampled continuations out, in batches.

Every random number comes from the request's own key, so order and batch size change nothing
but rounding. Shapes: B batch · T time · V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    PreTrainedModel,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bakery.identity import SamplingSettings

MAX_ROWS = 64
MAX_BATCH_TOKENS = 1 << 15
"""Rows times longest possible row: keeps the cache of one batch small."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """Continue `prefix_ids`; `key` names the request and seeds it."""

    key: str
    prefix_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A continuation: ids with the end-of-turn id if the model made it (`finish` = stop)."""

    key: str
    ids: tuple[int, ...]
    finish: str


def sample(
    model: PreTrainedModel,
    requests: Sequence[SampleRequest],
    settings: SamplingSettings,
    *,
    end_ids: frozenset[int],
    pad_id: int,
) -> Iterator[list[Sample]]:
    """Yield finished batches. Temperature 0 is greedy."""
    ordered = sorted(requests, key=lambda r: (len(r.prefix_ids), r.key))
    for batch in _batches(ordered, settings.max_tokens):
        yield _sample_batch(model, batch, settings, end_ids, pad_id)


def _batches(requests: Sequence[SampleRequest], max_tokens: int) -> Iterator[list[SampleRequest]]:
    batch: list[SampleRequest] = []
    for request in requests:
        longest = len(request.prefix_ids) + max_tokens
        if batch and (len(batch) == MAX_ROWS or (len(batch) + 1) * longest > MAX_BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


@torch.inference_mode()
def _sample_batch(
    model: PreTrainedModel,
    batch: Sequence[SampleRequest],
    settings: SamplingSettings,
    end_ids: frozenset[int],
    pad_id: int,
) -> list[Sample]:
    device = next(model.parameters()).device
    input_BT, mask_BT = _left_padded([r.prefix_ids for r in batch], pad_id, device)
    uniforms_BT = np.stack([_uniforms(r.key, settings.max_tokens) for r in batch])
    warpers = _warpers(settings)
    answers: list[list[int]] = [[] for _ in batch]
    alive = list(range(len(batch)))
    position_BT = (mask_BT.cumsum(-1) - 1).clamp(min=0)
    cache = None
    for step in range(settings.max_tokens):
        out = model(
            input_ids=input_BT,
            attention_mask=mask_BT,
            position_ids=position_BT,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = out.past_key_values
        u_B = torch.as_tensor(uniforms_BT[alive, step], device=device)
        next_B = _choose(out.logits[:, -1].float(), u_B, settings, warpers)
        ids = next_B.tolist()
        for row, token in zip(alive, ids, strict=True):
            answers[row].append(token)
        going = [i for i, token in enumerate(ids) if token not in end_ids]
        if not going:
            break
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(ids), 1)], dim=1)
        position_BT = position_BT[:, -1:] + 1
        input_BT = next_B[:, None]
        if len(going) < len(ids):  # rows that are done leave the batch
            index = torch.as_tensor(going, device=device)
            cache.batch_select_indices(index)
            mask_BT, position_BT, input_BT = mask_BT[index], position_BT[index], input_BT[index]
            alive = [alive[i] for i in going]
    return [_finished(r.key, ids, end_ids) for r, ids in zip(batch, answers, strict=True)]


def _finished(key: str, ids: list[int], end_ids: frozenset[int]) -> Sample:
    return Sample(key, tuple(ids), "stop" if ids[-1] in end_ids else "length")


def _left_padded(
    rows: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-align the prefixes, so that every row's next token is in the same column."""
    width = max(len(row) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, width - len(row) :] = torch.as_tensor(row)
        mask[i, width - len(row) :] = 1
    return ids.to(device), mask.to(device)


def _uniforms(key: str, count: int) -> np.ndarray:
    """Return one uniform in [0, 1) per position, from the request's key alone."""
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def _warpers(settings: SamplingSettings) -> LogitsProcessorList:
    warpers = LogitsProcessorList()
    if settings.temperature not in (0.0, 1.0):
        warpers.append(TemperatureLogitsWarper(float(settings.temperature)))
    if settings.top_k:
        warpers.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        warpers.append(TopPLogitsWarper(settings.top_p))
    return warpers


def _choose(
    logits_BV: torch.Tensor,
    u_B: torch.Tensor,
    settings: SamplingSettings,
    warpers: LogitsProcessorList,
) -> torch.Tensor:
    """Draw from the distribution by its inverse CDF, summed in fp64."""
    if settings.temperature == 0:
        return logits_BV.argmax(dim=-1)
    nothing = torch.empty(len(logits_BV), 0, dtype=torch.long, device=logits_BV.device)
    probs_BV = warpers(nothing, logits_BV).softmax(dim=-1).double()
    cdf_BV = probs_BV.cumsum(dim=-1)
    chosen_B = torch.searchsorted(cdf_BV, (u_B.double() * cdf_BV[:, -1])[:, None], right=True)
    return chosen_B[:, 0].clamp(max=logits_BV.shape[-1] - 1)
