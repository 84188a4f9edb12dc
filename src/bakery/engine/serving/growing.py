"""Rows that grow by a token at a time, and come and go: each in a place of its own.

A row's keys and values lie in the first columns of its place, so the column is the position. The
last row takes the place of one that leaves, and nothing else moves.
Shapes: S places · B rows that are there · J heads of keys · C columns · d head size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from torch import nn

from bakery.engine.packed.attention import Rule, merged, part
from bakery.engine.packed.layouts import KeysValues

COLUMNS = 64
"""A place has a whole number of times so many columns."""


class Rows:
    """A layout of rows, never more than `most` (`packed.attention.Layout`)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of: dict[int, KeysValues] = {}
        self._count = 0
        self._places = self._columns = 0
        self._upto = 0
        self._at: dict[int, torch.Tensor] = {}
        self._position_B = torch.zeros(0, dtype=torch.long)
        self._shown: dict[int | None, torch.Tensor] = {}

    def __len__(self) -> int:
        return self._count

    def put(self, pieces: Sequence[dict[int, KeysValues]], length: int) -> None:
        """Add a row of so many tokens, whose keys and values are those of pieces, in order."""
        self._grow(self._count + 1, length + 1, pieces[0])
        for layer, (keys, values) in self._of.items():
            at = 0
            for piece in pieces:
                k, v = piece[layer]
                stop = at + k.shape[1]
                keys[self._count, :, at:stop], values[self._count, :, at:stop] = k, v
                at = stop
        self._count += 1

    @torch.inference_mode()
    def drop(self, row: int) -> None:
        """Take a row out; the last one takes its number."""
        self._count -= 1
        if not self._count:  # the next may be short, where one of these was long
            self._of, self._places, self._columns = {}, 0, 0
        elif row != self._count:
            for keys, values in self._of.values():
                keys[row], values[row] = keys[self._count], values[self._count]

    def begin(self, position_B: torch.Tensor, longest: int) -> None:
        """Make room for a token of every row, at these positions; `longest` is the last."""
        self._grow(self._count, longest + 1, {})
        self._position_B, self._upto = position_B, longest + 1
        self._at, self._shown = {}, {}

    def attend(
        self, layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Attend from one query of each row to its own keys."""
        rows, heads, _, size = q.shape
        keys, values = self._of[id(layer)]
        at = self._place(keys.shape[1], q.device)
        keys.view(-1, size).index_copy_(0, at, k.reshape(-1, size))
        values.view(-1, size).index_copy_(0, at, v.reshape(-1, size))
        keys, values = keys[:rows, :, : self._upto], values[:rows, :, : self._upto]
        q = q.view(rows, keys.shape[1], -1, size)
        shown = self._shown_for(rule.window, q)
        if rule.plain:
            out = F.scaled_dot_product_attention(q, keys, values, attn_mask=shown, scale=rule.scale)
            return out.view(rows, heads, 1, size)
        sinks = None
        if rule.sinks is not None:
            sinks = rule.sinks.float().view(1, q.shape[1], -1, 1).expand(rows, -1, -1, 1)
        own = part(q, keys, values, rule, shown < 0)
        return merged([own], sinks).view(rows, heads, 1, size).to(q.dtype)

    def _place(self, heads: int, device: torch.device) -> torch.Tensor:
        """Return where each row's new token goes (B J,), counted over places, heads, columns."""
        if heads not in self._at:
            row = torch.arange(len(self._position_B), device=device)[:, None] * heads
            head = torch.arange(heads, device=device)
            at = (row + head) * self._columns + self._position_B[:, None]
            self._at[heads] = at.flatten()
        return self._at[heads]

    def _shown_for(self, window: int | None, like: torch.Tensor) -> torch.Tensor:
        """Return (B, 1, 1, S), 0 where a row's new token sees a column, else minus infinity."""
        if window not in self._shown:
            column = torch.arange(self._upto, device=self._position_B.device)
            position = self._position_B[:, None]
            shown = column <= position
            if window is not None:
                shown = shown & (position - column < window)
            mask = torch.zeros(shown.shape, dtype=like.dtype, device=like.device)
            self._shown[window] = mask.masked_fill_(~shown, -torch.inf)[:, None, None]
        return self._shown[window]

    def _grow(self, places: int, columns: int, layers: dict[int, KeysValues]) -> None:
        """Have so many places and columns at least, twice as many as now where they are short."""
        if columns > self._columns:
            columns = max(columns, 2 * self._columns)
            columns = -(-columns // COLUMNS) * COLUMNS
        if places > self._places:
            places = max(places, min(2 * self._places, self._most))
        places, columns = max(places, self._places), max(columns, self._columns)
        if not self._of:
            self._of = {
                layer: (_room(k, places, columns), _room(v, places, columns))
                for layer, (k, v) in layers.items()
            }
        elif (places, columns) != (self._places, self._columns):
            pad = (0, 0, 0, columns - self._columns, 0, 0, 0, places - self._places)
            for layer, (keys, values) in self._of.items():
                self._of[layer] = F.pad(keys, pad), F.pad(values, pad)
        self._places, self._columns = places, columns


def _room(like: torch.Tensor, places: int, columns: int) -> torch.Tensor:
    """Return places (S, J, C, d) for rows like one (J, T, d)."""
    return like.new_zeros(places, len(like), columns, like.shape[-1])
