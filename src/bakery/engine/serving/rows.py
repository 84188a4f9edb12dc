"""A row of a batch: what was asked, what was said, and which token comes next."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from bakery.engine.packed.layouts import Prefix
from bakery.engine.sampling import drawing
from bakery.engine.serving.asking import Ask, Echo, Failed, Token, Top
from bakery.engine.serving.cache import Layers
from bakery.errors import BakeryError, ConfigError
from bakery.identity import SamplingSettings


@dataclass(slots=True, eq=False)
class Row:
    """A row that waits, runs its prompt, or says something."""

    ask: Ask
    uniforms: np.ndarray
    how: SamplingSettings
    """Its settings but for what changes no draw: rows that have the same are drawn at once."""
    said: list[int] = field(default_factory=list)
    behind: Prefix | None = None
    """The keys and values of its prompt up to the piece that was run last, and of that piece."""
    piece: Layers | None = None
    run: int = 0
    """How many tokens of its prompt were run, in all."""
    cached: int = 0
    log_probs: list[float | None] = field(default_factory=lambda: [None])
    tops: list[Top] = field(default_factory=lambda: [()])
    """Of its prompt, as far as it was run, where that is asked for."""

    @property
    def pieces(self) -> list[Layers]:
        """The keys and values of as much of its prompt as was run."""
        found = [self.behind.layers] if self.behind else []
        return [*found, self.piece] if self.piece is not None else found

    def echo(self) -> Echo:
        """Return its prompt with log probabilities."""
        done = None if self.ask.settings.max_tokens else "length"
        return Echo(self.ask.key, self.ask.ids, tuple(self.log_probs), tuple(self.tops), done)


def row_of(ask: Ask) -> Row:
    """Return a row that has said nothing; ConfigError where its settings mean nothing."""
    most = ask.settings.max_tokens
    seed = ask.key if ask.seed is None else ask.seed
    how = replace(
        ask.settings, max_tokens=0, num_traj_per_stimulus=0, stop=(), seed=None, endpoint={}
    )
    try:
        _draw(how)
    except ValueError as error:
        raise ConfigError(f"no token can be drawn so: {error}") from error
    ask = replace(ask, mix=ask.mix.effective())
    return Row(ask, drawing.uniforms(seed, most), how)


@functools.lru_cache(64)
def _draw(how: SamplingSettings) -> drawing.Draw:
    return drawing.Draw(how)


def drawn(
    logits_BV: torch.Tensor, rows: Sequence[Row], end_ids: frozenset[int]
) -> list[Token | Failed]:
    """Draw a token for every row, and note it as said. The logits are spent."""
    told = likeliest(logits_BV, rows)
    failed = _hold(logits_BV, rows)
    groups: dict[SamplingSettings, list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(row.how, []).append(at)
    ids = [0] * len(rows)
    for how, members in groups.items():
        mine = logits_BV if len(members) == len(rows) else logits_BV[members]
        for at, token in zip(members, _next(mine, [rows[i] for i in members], how), strict=True):
            ids[at] = token
    found: list[Token | Failed] = []
    for at, (row, token) in enumerate(zip(rows, ids, strict=True)):
        if at in failed:
            found.append(Failed(row.ask.key, failed[at]))
            continue
        cached = 0 if row.said else row.cached
        row.said.append(token)
        finish = "stop" if token in end_ids else None
        if finish is None and len(row.said) == row.ask.settings.max_tokens:
            finish = "length"
        log_prob, top = told[at].of(token) if at in told else (None, ())
        found.append(Token(row.ask.key, token, log_prob, top, finish, cached))
    return found


def _next(logits_BV: torch.Tensor, rows: Sequence[Row], how: SamplingSettings) -> list[int]:
    """Draw for rows of the same settings."""
    u_B = torch.tensor([row.uniforms[len(row.said)] for row in rows], device=logits_BV.device)
    prompts, said = [row.ask.ids for row in rows], [row.said for row in rows]
    return _draw(how).next(logits_BV, u_B, prompts, said).tolist()


def _hold(logits_BV: torch.Tensor, rows: Sequence[Row]) -> dict[int, BakeryError]:
    """Leave rows what they may say; return by number which of them cannot go on."""
    failed: dict[int, BakeryError] = {}
    for at, row in enumerate(rows):
        if row.ask.allowed is None:
            continue
        try:
            mask_V = row.ask.allowed(row.said)
        except BakeryError as error:
            failed[at] = error
            continue
        if mask_V is not None:
            count = len(mask_V)
            logits_BV[at, :count].masked_fill_(~mask_V.to(logits_BV.device), -torch.inf)
            logits_BV[at, count:] = -torch.inf
    return failed


@dataclass(frozen=True, slots=True)
class LogProbs:
    """What a model says of the next token: of each (V,), and the likeliest."""

    of_each: torch.Tensor
    top: Top

    def of(self, token: int) -> tuple[float, Top]:
        """Return a token's log probability, and the likeliest with theirs."""
        return float(self.of_each[token]), self.top


def likeliest(logits_BV: torch.Tensor, rows: Sequence[Row]) -> dict[int, LogProbs]:
    """Return by number what the model says of the next token of rows that want to know."""
    asked = [at for at, row in enumerate(rows) if row.ask.top is not None]
    if not asked:
        return {}
    log_probs = logits_BV[asked].float().log_softmax(dim=-1)
    most = min(max(rows[at].ask.top or 0 for at in asked), log_probs.shape[-1])
    values, ids = (t.tolist() for t in log_probs.topk(most))
    return {
        at: LogProbs(log_probs[i], tuple(zip(ids[i], values[i], strict=True))[: rows[at].ask.top])
        for i, at in enumerate(asked)
    }


def note(row: Row, logits_TV: torch.Tensor) -> None:
    """Note what the model says of a prompt's tokens; the first of these is behind `log_probs`."""
    log_probs_TV = logits_TV.float().log_softmax(dim=-1)
    first = len(row.log_probs)
    due = row.ask.ids[first : first + len(log_probs_TV)]
    top = row.ask.top or 0
    values, ids = (t.tolist() for t in log_probs_TV.topk(min(top, log_probs_TV.shape[-1])))
    for at, token in enumerate(due):
        said = LogProbs(log_probs_TV[at], tuple(zip(ids[at], values[at], strict=True)))
        log_prob, likeliest = said.of(token)
        row.log_probs.append(log_prob)
        row.tops.append(likeliest)
