"""Prefixes in, sampled continuations out, in batches behind shared prefixes.

What many prompts begin with is run once and kept as one copy; equal prompts are run once. Every
random number comes from the request's own key, so order and batch size change nothing but
rounding. Shapes: B batch · T time · V vocabulary.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bakery.engine.loss.readout import Readout
from bakery.engine.memory import bytes_per_token, cache_bytes
from bakery.engine.packed.prefixes import Prefixes, grouped
from bakery.engine.packed.support import Support, support_of
from bakery.engine.sampling.decoding import Behind, Decoder, PaddedDecoder, SharedDecoder
from bakery.identity import SamplingSettings

MAX_ROWS = 128
MAX_PADDED_ROWS, MAX_PADDED_TOKENS = 64, 1 << 15
"""Rows, and rows times longest possible row, where every row holds its whole prompt."""

MOST_CAPTURED = 1 << 28
"""Bytes of what heads read that are kept in memory."""

MOST_DRAWN = 1 << 23
"""Probabilities that are summed at once, in fp64."""


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


class Captured:
    """What the head read before every sampled token: the teacher's features, for nothing.

    It stays in memory until it is asked for, so `fits` says how much there may be.
    """

    def __init__(self, readout: Readout) -> None:
        self.readout = readout
        self._of: dict[str, tuple[int, torch.Tensor]] = {}

    @staticmethod
    def fits(readout: Readout, answers: int, settings: SamplingSettings) -> bool:
        """Whether all that so many answers may read can be kept; it depends on settings alone."""
        if not readout.exact:
            return False
        width = readout.width
        return answers * settings.max_tokens * width * 4 <= MOST_CAPTURED

    def put(self, request: SampleRequest, hidden_TD: torch.Tensor) -> None:
        """Keep what was read before each token of an answer."""
        self._of[request.key] = len(request.prefix_ids) - 1, hidden_TD

    def features(self, key: str, predicting: Sequence[int]) -> torch.Tensor | None:
        """Return what was read at some positions of prompt and answer (N, D), if it was kept."""
        if key not in self._of:
            return None
        first, hidden_TD = self._of[key]
        return hidden_TD[[at - first for at in predicting]]


Watch = Callable[[float, int], None]
"""Told how much of a batch of so many answers is there, in answers, after each token."""


def sample(
    model: PreTrainedModel,
    requests: Sequence[SampleRequest],
    settings: SamplingSettings,
    *,
    end_ids: frozenset[int],
    pad_id: int,
    prefixes: Prefixes | None = None,
    captured: Captured | None = None,
    watch: Watch | None = None,
) -> Iterator[list[Sample]]:
    """Yield finished batches. Temperature 0 is greedy.

    `prefixes` are those of the model as it stands, where somebody else needs them too, and
    `captured` takes what the head read, where rows run behind shared prefixes. `watch` is told how
    far a batch is.
    """
    support = support_of(model)
    if support.refused is not None:
        ordered = sorted(requests, key=lambda r: (len(r.prefix_ids), r.key))
        for rows in _padded_batches(ordered, settings.max_tokens):
            yield _sample_padded(model, rows, settings, end_ids, pad_id, watch)
        return
    prefixes = prefixes or Prefixes()
    for batch in _shared_batches(model, requests, settings.max_tokens):
        yield _sample_shared(model, support, batch, prefixes, settings, end_ids, captured, watch)


Batch = list[tuple[tuple[int, ...], list[SampleRequest]]]
"""What some requests begin with (nothing, where sharing is not worth a run), and they."""


def _shared_batches(
    model: PreTrainedModel, requests: Sequence[SampleRequest], max_tokens: int
) -> Iterator[Batch]:
    """Cut requests, neighbours behind the same prefix, into batches that fit the memory."""
    by_prompt: dict[tuple[int, ...], list[SampleRequest]] = {}
    for request in sorted(requests, key=lambda r: r.key):
        by_prompt.setdefault(request.prefix_ids, []).append(request)
    prompts = sorted(by_prompt, key=lambda ids: (len(ids), ids))
    room = cache_bytes(next(model.parameters()).device) // bytes_per_token(model)
    batch: Batch = []
    rows = longest = 0
    for found in grouped(prompts):
        mine = sorted((prompts[i] for i in found.members), key=lambda ids: (len(ids), ids))
        begin = mine[0][: found.shared]
        for prompt in mine:
            tokens = len(prompt) - found.shared + max_tokens
            for request in by_prompt[prompt]:
                # Every row of a batch is as wide as its longest.
                if batch and rows >= min(MAX_ROWS, room // max(tokens, longest)):
                    yield batch
                    batch, rows, longest = [], 0, 0
                if not batch or batch[-1][0] != begin:
                    batch.append((begin, []))
                batch[-1][1].append(request)
                rows, longest = rows + 1, max(tokens, longest)
    if batch:
        yield batch


@torch.inference_mode()
def _sample_shared(
    model: PreTrainedModel,
    support: Support,
    batch: Batch,
    prefixes: Prefixes,
    settings: SamplingSettings,
    end_ids: frozenset[int],
    captured: Captured | None,
    watch: Watch | None,
) -> list[Sample]:
    behind: list[Behind] = [
        (
            prefixes.of(model, support, begin) if begin else None,
            [r.prefix_ids for r in requests],
        )
        for begin, requests in batch
    ]
    readout = captured.readout if captured else None
    decoder = SharedDecoder(model, support, behind, settings.max_tokens, readout=readout)
    requests = [r for _, rs in batch for r in rs]
    return _answers(decoder, requests, settings, end_ids, captured, watch)


@torch.inference_mode()
def _sample_padded(
    model: PreTrainedModel,
    rows: Sequence[SampleRequest],
    settings: SamplingSettings,
    end_ids: frozenset[int],
    pad_id: int,
    watch: Watch | None,
) -> list[Sample]:
    decoder = PaddedDecoder(model, [r.prefix_ids for r in rows], pad_id)
    return _answers(decoder, rows, settings, end_ids, watch=watch)


def _padded_batches(
    requests: Sequence[SampleRequest], max_tokens: int
) -> Iterator[list[SampleRequest]]:
    batch: list[SampleRequest] = []
    for request in requests:
        longest = len(request.prefix_ids) + max_tokens
        full = len(batch) == MAX_PADDED_ROWS or (len(batch) + 1) * longest > MAX_PADDED_TOKENS
        if batch and full:
            yield batch
            batch = []
        batch.append(request)
    if batch:
        yield batch


def _answers(
    decoder: Decoder,
    requests: Sequence[SampleRequest],
    settings: SamplingSettings,
    end_ids: frozenset[int],
    captured: Captured | None = None,
    watch: Watch | None = None,
) -> list[Sample]:
    """Draw token by token; rows that are done leave the batch."""
    uniforms_BT = np.stack([_uniforms(r.key, settings.max_tokens) for r in requests])
    warpers, reads = _warpers(settings), settings.repetition_penalty != 1
    counts = settings.frequency_penalty != 0 or settings.presence_penalty != 0
    answers: list[list[int]] = [[] for _ in requests]
    alive = list(range(len(requests)))
    read: list[tuple[list[int], torch.Tensor]] = []
    logits_BV = decoder.first()
    for step in range(settings.max_tokens):
        u_B = torch.as_tensor(uniforms_BT[alive, step], device=logits_BV.device)
        # Only a penalty on repetition reads what was said before.
        told = [(*requests[i].prefix_ids, *answers[i]) if reads else () for i in alive]
        if counts:
            logits_BV = _less_said(logits_BV, [answers[i] for i in alive], settings)
        next_B = _choose(logits_BV, u_B, settings, warpers, _so_far(told, logits_BV.device))
        ids = next_B.tolist()
        for row, token in zip(alive, ids, strict=True):
            answers[row].append(token)
        if captured is not None and decoder.hidden is not None:
            read.append((alive, decoder.hidden))
        going = [i for i, token in enumerate(ids) if token not in end_ids]
        if watch is not None:
            open_rows = len(going) * (step + 1) / settings.max_tokens
            watch(len(requests) - len(going) + open_rows, len(requests))
        if not going or step + 1 == settings.max_tokens:
            break
        if len(going) < len(ids):
            index = torch.as_tensor(going, device=logits_BV.device)
            decoder.keep(index)
            next_B, alive = next_B[index], [alive[i] for i in going]
        logits_BV = decoder.step(next_B)
    if captured is not None:
        _put(captured, requests, read)
    return [_finished(r.key, ids, end_ids) for r, ids in zip(requests, answers, strict=True)]


def _put(
    captured: Captured,
    requests: Sequence[SampleRequest],
    read: Sequence[tuple[Sequence[int], torch.Tensor]],
) -> None:
    """Sort what was read, step by step, by row."""
    rows: list[list[torch.Tensor]] = [[] for _ in requests]
    for alive, hidden_BD in read:
        for row, hidden_D in zip(alive, hidden_BD.unbind(), strict=True):
            rows[row].append(hidden_D)
    for request, hidden in zip(requests, rows, strict=True):
        captured.put(request, torch.stack(hidden))


def _finished(key: str, ids: list[int], end_ids: frozenset[int]) -> Sample:
    return Sample(key, tuple(ids), "stop" if ids[-1] in end_ids else "length")


def _uniforms(key: str, count: int) -> np.ndarray:
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
