"""Who sees whom: packed sequences with trees and shared prefixes, and rows that are decoded.

Shapes: N tokens of a packed sequence · B rows · H heads · J heads of keys (H = J x G) ·
P tokens of a prefix · T queries · S keys · d head size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from torch import nn

from bakery.engine.packed.attention import (
    LOWEST,
    Part,
    Rule,
    explicit,
    folded,
    merged,
    most_scores,
    part,
)

KeysValues = tuple[torch.Tensor, torch.Tensor]
QKV = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Prefix:
    """Keys and values (J, P, d) of tokens at positions 0 to P - 1: one copy for all rows."""

    length: int
    layers: dict[int, KeysValues]


@dataclass(frozen=True, slots=True)
class Segment:
    """Tokens that see nothing of others: a trunk, and branches that see the trunk and themselves.

    `branches` are lengths; they follow the trunk, one after the other.
    """

    trunk: int
    branches: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.trunk + sum(self.branches)

    def positions(self, offset: int = 0) -> torch.Tensor:
        """Return the position of every token: each branch starts where the trunk ended."""
        ends = [torch.arange(self.trunk, self.trunk + length) for length in self.branches]
        return torch.cat([torch.arange(self.trunk), *ends]) + offset


class AllKept(Exception):  # noqa: N818  # no error: it ends a forward early
    """The last layer's keys and values are there: what it would still do is read by nobody."""


@dataclass(slots=True)
class Packed:
    """One sequence of segments, in groups that may each stand behind a shared prefix."""

    groups: Sequence[tuple[Prefix | None, Sequence[Segment]]]
    kernel: str = "sdpa"
    kept: dict[int, KeysValues] | None = None
    """Where given, keys and values (J, N, d) of every layer are put here."""
    keep_only: int | None = None
    """Of so many layers nothing but `kept` is asked for: `AllKept` ends the forward early."""
    read: torch.Tensor | None = None
    """The columns (M,) that something is read from; None: any may be. See `reading`."""
    _masks: dict[tuple[int, int, int | None], torch.Tensor] = field(default_factory=dict)

    def attend(
        self, layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Attend within every segment, and to its group's prefix."""
        if self.kept is not None:
            self.kept[id(layer)] = k[0], v[0]
            if self.keep_only == len(self.kept):
                raise AllKept
        segments = [s for _, group in self.groups for s in group]
        lengths = [length for s in segments for length in (s.trunk, *s.branches)]
        # `split` gives all gradients back in one piece; slices would each fill a whole tensor.
        pieces = iter(zip(*(t[0].split(lengths, dim=1) for t in (q, k, v)), strict=True))
        out: list[torch.Tensor] = []
        for prefix, group in self.groups:
            spans = [span for segment in group for span in _spans(segment, pieces)]
            if prefix is None:
                out += [self._alone(span, rule) for span in spans]
            else:
                out += self._behind(prefix, spans, rule, prefix.layers[id(layer)])
        return torch.cat(out, dim=1)[None]

    def _alone(self, span: Span, rule: Rule) -> torch.Tensor:
        """Attend from a span to the keys it sees."""
        q, k, v = span.q, span.k, span.v
        causal = span.before == 0 and (rule.window is None or rule.window >= q.shape[1])
        if rule.plain and (self.kernel == "sdpa" or not torch.is_grad_enabled()):
            return F.scaled_dot_product_attention(
                q[None],
                k[None],
                v[None],
                attn_mask=None if causal else ~self._hidden(span, rule.window),
                dropout_p=rule.dropout,
                is_causal=causal,
                scale=rule.scale,
                enable_gqa=len(q) != len(k),
            )[0]
        if torch.is_grad_enabled():
            return explicit(q, k, v, rule, self._hidden(span, rule.window))
        return _unfolded(merged([self._own(span, rule)], _sinks(rule, q, k)), q)

    def _behind(
        self, prefix: Prefix, spans: Sequence[Span], rule: Rule, shared: KeysValues
    ) -> list[torch.Tensor]:
        """Attend to a prefix, from all spans in one product, and within each span."""
        q = torch.cat([span.q for span in spans], dim=1)
        positions = torch.cat([span.positions() for span in spans]).to(q.device) + prefix.length
        to_prefix = _to_prefix(q, positions, prefix.length, rule, shared)
        out, at = [], 0
        for span in spans:
            count = span.q.shape[1]
            values, total, top = (folded(t[:, at : at + count], len(span.k)) for t in to_prefix)
            at += count
            both = [self._own(span, rule), (values, total, top)]
            out.append(_unfolded(merged(both, _sinks(rule, span.q, span.k)), span.q))
        return out

    def _own(self, span: Span, rule: Rule) -> Part:
        """Attend from a span to the keys it sees, a block of queries at a time; heads folded."""
        q, k, v = span.q, span.k, span.v
        count, heads = q.shape[1], len(q)
        step = max(1, most_scores(q.device) // (heads * k.shape[1]))
        hidden = self._hidden(span, rule.window)
        blocks = []
        for start in range(0, count, step):
            stop = min(start + step, count)
            end = span.before + stop
            unseen = hidden[start:stop, :end].repeat(heads // len(k), 1)
            one = part(folded(q[:, start:stop], len(k)), k[:, :end], v[:, :end], rule, unseen)
            blocks.append(tuple(t.view(heads, stop - start, -1) for t in one))
        whole = [torch.cat(t, dim=1) for t in zip(*blocks, strict=True)]
        return tuple(folded(t, len(k)) for t in whole)  # type: ignore[return-value]

    def _hidden(self, span: Span, window: int | None) -> torch.Tensor:
        """Return (T, S), true where a query must not see a key; made once for all layers."""
        count, device = span.q.shape[1], span.q.device
        key = (span.before, count, window)
        if key not in self._masks:
            of_q = torch.arange(span.before, span.before + count, device=device)[:, None]
            of_k = torch.arange(span.before + count, device=device)
            hidden = of_k > of_q
            if window is not None:
                hidden |= of_q - of_k >= window
            self._masks[key] = hidden
        return self._masks[key]


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive queries q (H, T, d), and the keys and values (J, S, d) at or before them.

    They see `before` keys that are not their own, in full but for a window.
    """

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    before: int

    def positions(self) -> torch.Tensor:
        """Return the queries' positions, counted from the first key."""
        return torch.arange(self.before, self.before + self.q.shape[1])


def _spans(segment: Segment, pieces: Iterator[QKV]) -> list[Span]:
    """Take a segment's pieces: its trunk, and each branch with the trunk's keys before its own."""
    q, k, v = next(pieces)
    spans = [Span(q, k, v, 0)]
    for _ in segment.branches:
        q_own, k_own, v_own = next(pieces)
        if q_own.shape[1]:  # an answer of one token has no input of its own
            keys, values = torch.cat([k, k_own], dim=1), torch.cat([v, v_own], dim=1)
            spans.append(Span(q_own, keys, values, segment.trunk))
    return spans


def _to_prefix(
    q: torch.Tensor, positions: torch.Tensor, length: int, rule: Rule, shared: KeysValues
) -> Part:
    """Attend from q (H, N, d) to a prefix, a block of queries at a time → (H, N, .)."""
    k, v = shared
    first = 0 if rule.window is None else max(0, length + 1 - rule.window)
    k, v = k[:, first:], v[:, first:]
    heads, count = q.shape[:2]
    step = max(1, most_scores(q.device) // (heads * max(1, length - first)))
    blocks = []
    for start in range(0, count, step):
        stop = min(start + step, count)
        hidden = None
        if rule.window is not None:
            at = torch.arange(first, length, device=q.device)
            hidden = positions[start:stop, None] - at >= rule.window
            hidden = hidden.repeat(heads // len(k), 1)
        one = part(folded(q[:, start:stop], len(k)), k, v, rule, hidden)
        blocks.append(tuple(t.view(heads, stop - start, -1) for t in one))
    return tuple(torch.cat(t, dim=1) for t in zip(*blocks, strict=True))  # type: ignore[return-value]


@dataclass(slots=True)
class Decoded:
    """Rows that grow by a token at a time, in groups that may each stand behind a shared prefix.

    Keys and values of a row's own tokens lie in buffers (B, J, C, d) with room to grow; `positions`
    (B, C) says where each stands, -1 where a column is empty.
    """

    groups: list[tuple[Prefix | None, int]]
    """Prefixes, and how many rows stand behind each."""
    buffers: dict[int, KeysValues]
    positions: torch.Tensor
    column: int
    """Where the token goes that is being computed."""
    _hidden: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def begin(self, position_B: torch.Tensor) -> None:
        """Make room for one more token of every row, at these positions."""
        if self.column == self.positions.shape[1]:
            self._grow()
        self.positions[:, self.column] = position_B
        self._hidden = {}

    def attend(
        self, layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Attend from one query per row to the row's own keys, and to its group's prefix."""
        rows, heads, _, size = q.shape
        keys, values = self.buffers[id(layer)]
        keys[:, :, self.column], values[:, :, self.column] = k[:, :, 0], v[:, :, 0]
        upto = self.column + 1
        kv_heads = keys.shape[1]
        q_own = q.view(rows, kv_heads, -1, size)
        hidden = self._hidden_for(rule.window)
        own = part(q_own, keys[:, :, :upto], values[:, :, :upto], rule, hidden)
        sinks = None
        if rule.sinks is not None:
            sinks = rule.sinks.float().view(1, kv_heads, -1, 1).expand(rows, -1, -1, 1)
        parts = [own]
        if any(prefix is not None for prefix, _ in self.groups):
            parts.append(self._prefixes(layer, q_own, rule))
        return merged(parts, sinks).view(rows, heads, 1, size).to(q.dtype)

    def keep(self, index: torch.Tensor) -> None:
        """Go on with these rows alone."""
        chosen = index.tolist()
        groups, at = [], 0
        for prefix, count in self.groups:
            left = sum(at <= i < at + count for i in chosen)
            at += count
            if left:
                groups.append((prefix, left))
        self.groups = groups
        self.positions = self.positions[index]
        for layer, (keys, values) in self.buffers.items():
            self.buffers[layer] = keys[index], values[index]

    def _prefixes(self, layer: nn.Module, q: torch.Tensor, rule: Rule) -> Part:
        """Attend from q (B, J, G, d) to the rows' prefixes: one product per prefix."""
        found, at = [], 0
        position_B = self.positions[:, self.column]
        for prefix, count in self.groups:
            mine = q[at : at + count]
            here = position_B[at : at + count]
            at += count
            if prefix is None:
                shape = (*mine.shape[:3], 1)
                top = mine.new_full(shape, LOWEST, dtype=torch.float32)
                found.append((torch.zeros_like(mine, dtype=torch.float32), top * 0, top))
                continue
            # (B, J, G, d) → (H, B, d): the prefix is one "row" with as many queries.
            q_H = mine.permute(1, 2, 0, 3).reshape(-1, count, q.shape[-1])
            one = _to_prefix(q_H, here, prefix.length, rule, prefix.layers[id(layer)])
            found.append(
                tuple(t.view(*q.shape[1:3], count, -1).permute(2, 0, 1, 3) for t in one)  # type: ignore[arg-type]
            )
        if len(found) == 1:
            return found[0]
        return tuple(torch.cat(t) for t in zip(*found, strict=True))  # type: ignore[return-value]

    def _hidden_for(self, window: int | None) -> torch.Tensor:
        """Return (B, 1, 1, S): empty columns, and what a window has left behind."""
        if window not in self._hidden:
            at = self.positions[:, : self.column + 1]
            hidden = at < 0
            if window is not None:
                hidden = hidden | (at[:, -1:] - at >= window)
            self._hidden[window] = hidden[:, None, None]
        return self._hidden[window]

    def _grow(self) -> None:
        """Give every buffer half as many columns again."""
        more = max(16, self.positions.shape[1] // 2)
        self.positions = F.pad(self.positions, (0, more), value=-1)
        for layer, (keys, values) in self.buffers.items():
            self.buffers[layer] = (
                F.pad(keys, (0, 0, 0, more)),
                F.pad(values, (0, 0, 0, more)),
            )


def _unfolded(t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(J, G T, d) → (H, T, d), in the dtype of the queries."""
    return t.reshape(like.shape).to(like.dtype)


def _sinks(rule: Rule, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor | None:
    """Return the heads' sinks for queries q (H, T, d), folded: (J, G T, 1)."""
    if rule.sinks is None:
        return None
    return folded(rule.sinks.float().view(-1, 1, 1).expand(-1, q.shape[1], 1), len(k))
