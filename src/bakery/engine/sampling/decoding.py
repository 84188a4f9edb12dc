"""Rows that grow by a token at a time: behind shared prefixes, or each padded and whole.

Both decoders give the logits (B, V) of every row's next token, in the order of the rows.
Shapes: B rows · T time · V vocabulary · J heads of keys · N packed tokens · d head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import nn

from bakery.engine.loss.readout import Readout
from bakery.engine.packed.layouts import Decoded, KeysValues, Packed, Prefix, Segment
from bakery.engine.packed.support import Support

MOST_TOKENS = 1 << 13
"""Prompt tokens that are run at once."""

ROOM = 64
"""Columns that a row's buffers have for its answer before they grow."""

Prompt = Sequence[int]
Behind = tuple[Prefix | None, Sequence[Prompt]]
"""A prefix, and whole prompts that begin with it."""


class Decoder(Protocol):
    """Rows in the middle of their answers."""

    hidden: torch.Tensor | None
    """What the head read last (B, D), where that is kept."""

    def first(self) -> torch.Tensor:
        """Return the logits (B, V) behind every prompt."""

    def step(self, ids_B: torch.Tensor) -> torch.Tensor:
        """Append a token to every row, and return the logits behind it."""

    def keep(self, index: torch.Tensor) -> None:
        """Go on with these rows alone, in this (rising) order."""


class SharedDecoder:
    """Rows behind shared prefixes, each of which is there once.

    With a readout, `hidden` is what the head reads behind every row's last token (B, D).
    """

    def __init__(
        self,
        model: nn.Module,
        support: Support,
        behind: Sequence[Behind],
        room: int,
        *,
        readout: Readout | None = None,
    ) -> None:
        self._model, self._support, self._behind = model, support, behind
        self._readout = readout
        self.hidden: torch.Tensor | None = None
        self._room = min(room, ROOM)
        self._device = next(model.parameters()).device
        self._position_B = torch.tensor(
            [len(p) - 1 for _, prompts in behind for p in prompts], device=self._device
        )
        self._rows: Decoded

    def first(self) -> torch.Tensor:
        """Run what every prompt has behind its prefix; equal prompts are run once."""
        kept: list[dict[int, KeysValues]] = []
        logits = []
        starts: list[int] = []
        tails: list[Prompt] = []
        total = 0
        for groups in self._packs():
            inner: dict[int, KeysValues] = {}
            segments = [(p, [Segment(len(t)) for t in ts]) for p, ts in groups]
            chosen = [(p.length if p else 0, t) for p, ts in groups for t in ts]
            ends = torch.tensor([len(t) for _, t in chosen]).cumsum(0)
            layout = Packed(segments, kept=inner, read=ends - 1)
            logits.append(self._last(layout, chosen, ends))
            starts += [total + int(e) - len(t) for e, (_, t) in zip(ends, chosen, strict=True)]
            tails += [t for _, t in chosen]
            total += int(ends[-1])
            kept.append(inner)
        of_row = torch.tensor(self._tail_of_row(), device=self._device)
        self._rows = self._decoded(kept, starts, tails, of_row)
        return self._logits(torch.cat(logits)[of_row])

    def step(self, ids_B: torch.Tensor) -> torch.Tensor:
        """Append a token to every row, and return the logits behind it."""
        self._position_B = self._position_B + 1
        self._rows.begin(self._position_B)
        inputs = {"input_ids": ids_B[:, None], "position_ids": self._position_B[:, None]}
        if self._readout is None:
            out = self._support.forward(self._model, self._rows, **inputs).logits[:, -1]
        else:
            every = torch.arange(len(ids_B), device=self._device)
            with self._support.running(self._rows) as told:
                out = self._readout.features(
                    self._model, inputs | told, every, torch.zeros_like(every)
                )
        self._rows.column += 1
        return self._logits(out)

    def keep(self, index: torch.Tensor) -> None:
        """Go on with these rows alone."""
        self._position_B = self._position_B[index]
        self._rows.keep(index)

    def _packs(self) -> Iterator[list[tuple[Prefix | None, list[Prompt]]]]:
        """Cut the distinct prompts' own parts, in order, into sequences that are run at once."""
        groups: list[tuple[Prefix | None, list[Prompt]]] = []
        size = 0
        for prefix, prompts in self._behind:
            opened = False
            for prompt in dict.fromkeys(map(tuple, prompts)):
                tail = prompt[prefix.length if prefix else 0 :]
                if groups and size + len(tail) > MOST_TOKENS:
                    yield groups
                    groups, size, opened = [], 0, False
                if not opened:
                    groups.append((prefix, []))
                    opened = True
                groups[-1][1].append(tail)
                size += len(tail)
        if groups:
            yield groups

    def _tail_of_row(self) -> list[int]:
        """Return which of the distinct prompts each row has."""
        found: list[int] = []
        before = 0
        for _, prompts in self._behind:
            numbers: dict[Prompt, int] = {}
            for prompt in map(tuple, prompts):
                found.append(before + numbers.setdefault(prompt, len(numbers)))
            before += len(numbers)
        return found

    def _last(
        self, layout: Packed, chosen: Sequence[tuple[int, Prompt]], ends: torch.Tensor
    ) -> torch.Tensor:
        """Run a packed sequence, and return what is at the end of every segment: logits, or what
        the head reads."""
        ids = torch.tensor([[i for _, tail in chosen for i in tail]], device=self._device)
        positions = torch.cat([torch.arange(p, p + len(tail)) for p, tail in chosen])
        last = (ends - 1).to(self._device)
        inputs = {"input_ids": ids, "position_ids": positions[None].to(self._device)}
        if self._readout is not None:
            with self._support.running(layout) as told:
                return self._readout.features(
                    self._model, inputs | told, torch.zeros_like(last), last
                )
        out = self._support.forward(self._model, layout, **inputs, logits_to_keep=last)
        logits: torch.Tensor = out.logits[0]
        return logits if len(logits) == len(last) else logits[last]

    def _logits(self, out: torch.Tensor) -> torch.Tensor:
        """Return logits of what was run for: they themselves, or what the head reads."""
        if self._readout is None:
            return out
        self.hidden = out
        return self._readout.logits(out)

    def _decoded(
        self,
        kept: Sequence[dict[int, KeysValues]],
        starts: Sequence[int],
        tails: Sequence[Prompt],
        of_row: torch.Tensor,
    ) -> Decoded:
        """Copy what the prompts left behind into buffers with room to grow."""
        width = max(map(len, tails))
        lengths = torch.tensor([len(t) for t in tails], device=self._device)[of_row]
        column = torch.arange(width, device=self._device)
        empty = column >= lengths[:, None]
        at = torch.tensor(starts, device=self._device)[of_row][:, None] + column
        at = at.masked_fill(empty, 0)
        own = self._position_B[:, None] + 1 - lengths[:, None] + column
        positions = torch.full((len(of_row), width + self._room), -1, device=self._device)
        positions[:, :width] = own.masked_fill(empty, -1)
        buffers = {
            layer: tuple(
                _buffer(torch.cat([k[layer][side] for k in kept], dim=1), at, self._room)
                for side in (0, 1)
            )
            for layer in kept[0]
        }
        groups = [(prefix, len(prompts)) for prefix, prompts in self._behind]
        return Decoded(groups, buffers, positions, column=width)  # type: ignore[arg-type]


def _buffer(of_N: torch.Tensor, at: torch.Tensor, room: int) -> torch.Tensor:
    """Gather (J, N, d) by columns (B, T) into (B, J, T + room, d)."""
    rows, width = at.shape
    buffer = of_N.new_zeros(rows, len(of_N), width + room, of_N.shape[-1])
    buffer[:, :, :width] = of_N[:, at].transpose(0, 1)
    return buffer


class PaddedDecoder:
    """Rows padded on the left, each with its whole prompt: right for every architecture."""

    hidden: torch.Tensor | None = None

    def __init__(self, model: nn.Module, prompts: Sequence[Prompt], pad_id: int) -> None:
        self._model = model
        device = next(model.parameters()).device
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), pad_id, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for i, prompt in enumerate(prompts):
            ids[i, width - len(prompt) :] = torch.tensor(list(prompt))
            mask[i, width - len(prompt) :] = 1
        self._ids, self._mask = ids.to(device), mask.to(device)
        self._cache: Any = None

    def first(self) -> torch.Tensor:
        """Run the prompts."""
        return self._run(self._ids, (self._mask.cumsum(-1) - 1).clamp(min=0))

    def step(self, ids_B: torch.Tensor) -> torch.Tensor:
        """Append a token to every row, and return the logits behind it."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(ids_B), 1)], dim=1)
        self._ids = torch.cat([self._ids, ids_B[:, None]], dim=1)
        position = (self._mask.sum(-1, keepdim=True) - 1).clamp(min=0)
        if self._cache is not None:
            return self._run(ids_B[:, None], position)
        return self._run(self._ids, (self._mask.cumsum(-1) - 1).clamp(min=0))

    def keep(self, index: torch.Tensor) -> None:
        """Go on with these rows alone."""
        if self._cache is not None:
            self._cache.reorder_cache(index)  # the one selection that every kind of layer has
        self._ids, self._mask = self._ids[index], self._mask[index]

    def _run(self, ids: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        out = self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=position,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        # A model that hands back no cache of a kind known here reads its whole rows again.
        self._cache = getattr(out, "past_key_values", None)
        logits: torch.Tensor = out.logits[:, -1]
        return logits
