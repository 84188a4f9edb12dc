"""Prefixes in, sampled continuations out, in batches behind shared prefixes.

What many prompts begin with is run once and kept as one copy; equal prompts are run once. Every
random number comes from the request's own key, so order and batch size change nothing but
rounding. Shapes: B batch · T time · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from bakery.engine.loss.readout import Readout
from bakery.engine.memory import bytes_per_token, cache_bytes
from bakery.engine.packed.prefixes import Prefixes, grouped
from bakery.engine.packed.support import Support, support_of
from bakery.engine.sampling import drawing
from bakery.engine.sampling.decoding import Behind, Decoder, PaddedDecoder, SharedDecoder
from bakery.identity import SamplingSettings

MAX_ROWS = 128
MAX_PADDED_ROWS, MAX_PADDED_TOKENS = 64, 1 << 15
"""Rows, and rows times longest possible row, where every row holds its whole prompt."""

MOST_CAPTURED = 1 << 28
"""Bytes of what heads read that are kept in memory."""


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
    uniforms_BT = np.stack([drawing.uniforms(r.key, settings.max_tokens) for r in requests])
    draw = drawing.Draw(settings)
    answers: list[list[int]] = [[] for _ in requests]
    alive = list(range(len(requests)))
    read: list[tuple[list[int], torch.Tensor]] = []
    logits_BV = decoder.first()
    for step in range(settings.max_tokens):
        u_B = torch.as_tensor(uniforms_BT[alive, step], device=logits_BV.device)
        prompts = [requests[i].prefix_ids for i in alive]
        next_B = draw.next(logits_BV, u_B, prompts, [answers[i] for i in alive])
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
