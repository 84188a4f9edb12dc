"""Who sees whom: packed sequences with trees and shared prefixes, and rows that are decoded.

Shapes: N tokens of a packed sequence · B rows · H heads · J heads of keys (H = J x G) ·
P tokens of a prefix · T queries · S keys · d head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from torch import nn

from bakery.engine.packed.attention import Part, Rule, explicit, folded, merged, most_scores, part

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

    def hidden(self, window: int | None, device: torch.device) -> torch.Tensor | None:
        """Return (T, T), true where a token must not see another; None where all is causal."""
        count = len(self)
        if len(self.branches) < 2 and (window is None or window >= count):
            return None
        order = torch.arange(count, device=device)
        seen = order[:, None] >= order
        if len(self.branches) > 1:
            lengths = torch.tensor([self.trunk, *self.branches], device=device)
            of = torch.arange(len(lengths), device=device).repeat_interleave(lengths)
            seen &= (of == 0) | (of[:, None] == of)
        if window is not None:
            at = self.positions().to(device)
            seen &= at[:, None] - at < window
        return ~seen


@dataclass(slots=True)
class Packed:
    """One sequence of segments, in groups that may each stand behind a shared prefix."""

    groups: Sequence[tuple[Prefix | None, Sequence[Segment]]]
    kernel: str = "sdpa"
    kept: dict[int, KeysValues] | None = None
    """Where given, keys and values (J, N, d) of every layer are put here."""
    _hidden: dict[tuple[Segment, int | None], torch.Tensor | None] = field(default_factory=dict)

    def attend(
        self, layer: nn.Module, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        """Attend within every segment, and to its group's prefix."""
        if self.kept is not None:
            self.kept[id(layer)] = k[0], v[0]
        segments = [s for _, group in self.groups for s in group]
        lengths = [len(s) for s in segments]
        # `split` gives all gradients back in one piece; slices would each fill a whole tensor.
        pieces = zip(*(t[0].split(lengths, dim=1) for t in (q, k, v)), strict=True)
        own = list(zip(segments, pieces, strict=True))
        out, at = [], 0
        for prefix, group in self.groups:
            mine = own[at : at + len(group)]
            at += len(group)
            if prefix is None:
                out += [self._alone(segment, qkv, rule) for segment, qkv in mine]
            else:
                out += self._behind(prefix, mine, rule, prefix.layers[id(layer)])
        return torch.cat(out, dim=1)[None]

    def _alone(self, segment: Segment, qkv: QKV, rule: Rule) -> torch.Tensor:
        """Attend within one segment."""
        q, k, v = qkv
        hidden = self._hidden_of(segment, rule.window, q.device)
        if rule.plain and (self.kernel == "sdpa" or not torch.is_grad_enabled()):
            return F.scaled_dot_product_attention(
                q[None],
                k[None],
                v[None],
                attn_mask=None if hidden is None else ~hidden,
                dropout_p=rule.dropout,
                is_causal=hidden is None,
                scale=rule.scale,
                enable_gqa=len(q) != len(k),
            )[0]
        if torch.is_grad_enabled():
            return explicit(q, k, v, rule, _or_causal(hidden, len(segment), q.device))
        return _unfolded(merged([self._own(segment, q, k, v, rule)], _sinks(rule, q, k)), q)

    def _behind(
        self,
        prefix: Prefix,
        own: Sequence[tuple[Segment, QKV]],
        rule: Rule,
        shared: KeysValues,
    ) -> list[torch.Tensor]:
        """Attend to a prefix, all segments in one product, and within each segment."""
        q = torch.cat([qkv[0] for _, qkv in own], dim=1)
        positions = torch.cat([segment.positions() for segment, _ in own]).to(q.device)
        values, total, top = _to_prefix(q, positions + prefix.length, prefix.length, rule, shared)
        out, at = [], 0
        for segment, (q_own, k, v) in own:
            here = slice(at, at + len(segment))
            at += len(segment)
            before = tuple(_refold(t[:, here], len(k)) for t in (values, total, top))
            both = [self._own(segment, q_own, k, v, rule), before]
            out.append(_unfolded(merged(both, _sinks(rule, q_own, k)), q_own))  # type: ignore[arg-type]
        return out

    def _own(
        self, segment: Segment, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rule: Rule
    ) -> Part:
        """Attend within a segment, a block of queries at a time; heads folded."""
        count, heads = len(segment), len(q)
        step = max(1, most_scores(q.device) // (heads * count))
        blocks = []
        hidden = _or_causal(self._hidden_of(segment, rule.window, q.device), count, q.device)
        for start in range(0, count, step):
            stop = min(start + step, count)
            seen = hidden[start:stop, :stop].repeat(heads // len(k), 1)
            one = part(folded(q[:, start:stop], len(k)), k[:, :stop], v[:, :stop], rule, seen)
            blocks.append(tuple(t.view(heads, stop - start, -1) for t in one))
        whole = [torch.cat(t, dim=1) for t in zip(*blocks, strict=True)]
        return tuple(_refold(t, len(k)) for t in whole)  # type: ignore[return-value]

    def _hidden_of(
        self, segment: Segment, window: int | None, device: torch.device
    ) -> torch.Tensor | None:
        """Return the segment's mask, made once for all layers."""
        key = (segment, window)
        if key not in self._hidden:
            self._hidden[key] = segment.hidden(window, device)
        return self._hidden[key]


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
                top = mine.new_full(shape, -1e30, dtype=torch.float32)
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


def _refold(t: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """(H, T, .) → (J, G T, .)."""
    return t.reshape(kv_heads, -1, t.shape[-1])


def _unfolded(t: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(J, G T, d) → (H, T, d), in the dtype of the queries."""
    return t.reshape(like.shape).to(like.dtype)


def _sinks(rule: Rule, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor | None:
    """Return the heads' sinks for queries q (H, T, d), folded: (J, G T, 1)."""
    if rule.sinks is None:
        return None
    return _refold(rule.sinks.float().view(-1, 1, 1).expand(-1, q.shape[1], 1), len(k))


def _or_causal(hidden: torch.Tensor | None, count: int, device: torch.device) -> torch.Tensor:
    if hidden is not None:
        return hidden
    return torch.ones(count, count, dtype=torch.bool, device=device).triu_(1)
