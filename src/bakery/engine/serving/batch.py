"""Rows of many models that grow a token at a time; they join and leave between steps.

A row's tokens and logits do not depend on who else is there. Prompts are run as one packed
sequence, a mask for each token; then every row says a token in one forward, a mask for each row.
Shapes: B rows · N packed tokens · M of them that are read · V vocabulary · R ranks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch

from bakery.engine.memory import bytes_per_token, cache_bytes
from bakery.engine.models.given import twin
from bakery.engine.models.models import BaseModel, embedded
from bakery.engine.packed.layouts import KeysValues, Packed, Prefix, Segment
from bakery.engine.packed.prefixes import common
from bakery.engine.packed.support import support_of
from bakery.engine.serving.asking import Ask, Failed, Token, Told
from bakery.engine.serving.cache import PrefixCache, between
from bakery.engine.serving.growing import Rows
from bakery.engine.serving.mixing import Masks, Mixer
from bakery.engine.serving.rows import Row, drawn, note, row_of
from bakery.engine.serving.slices import Shelf
from bakery.errors import BakeryError, ConfigError, ModelError

MOST_TOKENS = 1 << 11
"""Tokens of prompts that are run in one step: so long the rows that say something wait."""

MOST_ECHOED = 1 << 25
"""Logits of prompts that are looked at in one step."""

WORTH = 32
"""Tokens that a row has to be spared to wait a step for them."""


class Batch:
    """Rows of many models. One thread calls it; `rows` say something at once, others wait."""

    def __init__(self, base: BaseModel, shelf: Shelf, *, rows: int, cache_bytes: int) -> None:
        self._base, self._shelf, self._most_rows = base, shelf, rows
        self._model = twin(base).model
        self._support = support_of(self._model)
        if self._support.refused is not None:
            raise ModelError(
                f"{base.id.name} cannot be served with rows that join and leave: "
                f"{self._support.refused}",
                hint="Chat with it, or merge the bake and serve it with another program.",
            )
        self._mixer = Mixer(self._model, self._support)
        self._cache = PrefixCache(cache_bytes)
        self._known = embedded(self._model)
        self._token_bytes = bytes_per_token(self._model)
        self._waiting: deque[Row] = deque()
        self._prompting: list[Row] = []
        self._saying: list[Row] = []
        self._layout = Rows(rows)
        self._masks: Masks | None = None
        self._stale = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._prompting) + len(self._saying)

    def join(self, ask: Ask) -> None:
        """Let a row wait for its place; BakeryError where it can never have one."""
        if any(row.ask.key == ask.key for row in self._everyone()):
            raise ConfigError(f"a row is called {ask.key!r} already")
        if not ask.ids:
            raise ConfigError("the prompt is empty: there is nothing to go on from")
        if not all(0 <= token < self._known for token in ask.ids):
            raise ConfigError(f"the prompt has ids that are none: the model has {self._known:,}")
        longest = len(ask.ids) + ask.settings.max_tokens
        room = min(self._base.context, self._room())
        if longest > room:
            raise ConfigError(
                f"the prompt has {len(ask.ids):,} tokens and the answer may have "
                f"{ask.settings.max_tokens:,}, and there is room for {room:,} together",
                hint="Ask for fewer tokens, or shorten the prompt.",
            )
        if ask.settings.max_tokens < 1 and not ask.echo:
            raise ConfigError("max_tokens is 0, and nothing of the prompt is asked for")
        row = row_of(ask)
        self._shelf.check(row.ask.mix.keys)
        self._waiting.append(row)

    def leave(self, key: str) -> None:
        """Take a row out, wherever it is; one that is not there is nothing."""
        self._waiting = deque(row for row in self._waiting if row.ask.key != key)
        self._prompting = [row for row in self._prompting if row.ask.key != key]
        for at, row in enumerate(self._saying):
            if row.ask.key == key:
                self._drop(at)
                break

    @torch.inference_mode()
    def step(self) -> list[Told]:
        """Return a token of every row that says something, then run prompts of those who join."""
        found: list[Told] = []
        if self._saying:
            found += self._say()
        found += self._admit()
        if self._prompting:
            found += self._prompt()
        return found

    def _everyone(self) -> list[Row]:
        return [*self._waiting, *self._prompting, *self._saying]

    def _room(self) -> int:
        """Return for how many tokens of keys and values there is memory."""
        return cache_bytes(self._base.device) // self._token_bytes

    def _admit(self) -> list[Told]:
        """Take rows that wait in, as far as there is room for them and their slices."""
        failed: list[Told] = []
        while self._waiting:
            row = self._waiting[0]
            present = [*self._prompting, *self._saying]
            longest = max(len(r.ask.ids) + r.ask.settings.max_tokens for r in [row, *present])
            if len(present) == self._most_rows or (len(present) + 1) * longest > self._room():
                break
            used = _keys(present)
            try:
                if not self._stacked(set(row.ask.mix.keys), used):
                    break
            except BakeryError as error:
                failed.append(Failed(row.ask.key, error))
                self._waiting.popleft()
            else:
                self._prompting.append(self._waiting.popleft())
        return failed

    def _stacked(self, keys: set[str], used: set[str]) -> bool:
        """Have slices in the layers beside those that are used; False: there is no room now."""
        if not self._shelf.take(keys, used):
            return False
        gone = any(key not in self._shelf for key in self._mixer.keys)
        if gone or not self._mixer.keys >= keys:
            for key in keys:
                self._mixer.check(self._shelf.held(key))
            self._stack(used | keys)
        return True

    def _stack(self, keys: set[str]) -> None:
        """Have these slices in the layers and no others."""
        self._mixer.stack(self._shelf.by_lineage(keys))
        self._stale = True

    def _prompt(self) -> list[Told]:
        """Run pieces of prompts; rows whose prompt is whole say their first token."""
        pieces = self._pieces()
        logits_MV = self._run(pieces)
        found: list[Told] = []
        whole: list[Row] = []
        last: list[torch.Tensor] = []
        at = 0
        for row, piece in pieces:
            own_TV = logits_MV[at : at + (len(piece) if row.ask.echo else 1)]
            at += len(own_TV)
            if row.ask.echo:
                note(row, own_TV)
            if row.run < len(row.ask.ids):
                continue
            self._prompting.remove(row)
            self._cache.keep(row.ask.mix, row.ask.ids, row.pieces)
            if row.ask.echo:
                found.append(row.echo())
            if row.ask.settings.max_tokens:
                whole.append(row)
                last.append(own_TV[-1])
        if whole:
            tokens = drawn(torch.stack(last), whole, self._base.chat.end_ids)
            found += tokens
            self._begin([r for r, t in zip(whole, tokens, strict=True) if _goes_on(t)])
        return found

    def _begin(self, rows: Sequence[Row]) -> None:
        """Have rows whose prompt was run say a token in every step."""
        for row in rows:
            self._layout.put(row.pieces, row.run)
            self._saying.append(row)
            row.behind, row.piece, self._stale = None, None, True

    def _pieces(self) -> list[tuple[Row, tuple[int, ...]]]:
        """Return what of whose prompts is run now, rows behind the same prefix side by side."""
        left, echoed = MOST_TOKENS, MOST_ECHOED // self._model.config.get_text_config().vocab_size
        pieces: list[tuple[Row, tuple[int, ...]]] = []
        for row in self._prompting:
            self._find(row)
            if any(self._follows(row, leader) for leader, _ in pieces):
                continue
            most = min(left, echoed) if row.ask.echo else left
            piece = row.ask.ids[row.run : row.run + most]
            if piece:
                pieces.append((row, piece))
                left -= len(piece)
                echoed -= len(piece) if row.ask.echo else 0
        return sorted(pieces, key=lambda one: id(one[0].behind))

    def _find(self, row: Row) -> None:
        """Take what is kept of a prompt, before any of it is run; of an echo all is asked for."""
        if row.run == row.cached and not row.ask.echo:
            row.behind = self._cache.find(row.ask.mix, row.ask.ids)
            row.run = row.cached = row.behind.length if row.behind else 0

    def _follows(self, row: Row, leader: Row) -> bool:
        """Whether a row had better wait for what another one is about to run, and find it kept."""
        if row.ask.echo or row.ask.mix != leader.ask.mix or row.run != row.cached:
            return False
        shared = common(row.ask.ids[:-1], leader.ask.ids)
        return shared >= row.run + WORTH and self._cache.fits(leader.ask.ids, self._token_bytes)

    def _run(self, pieces: Sequence[tuple[Row, Sequence[int]]]) -> torch.Tensor:
        """Run pieces of prompts; return the logits (M, V) behind each, of an echo behind all."""
        groups: list[tuple[Prefix | None, list[Segment]]] = []
        for row, piece in pieces:
            if not groups or groups[-1][0] is not row.behind:
                groups.append((row.behind, []))
            groups[-1][1].append(Segment(len(piece)))
        device = self._base.device
        ids = torch.tensor([[i for _, piece in pieces for i in piece]], device=device)
        at = [torch.arange(row.run, row.run + len(piece)) for row, piece in pieces]
        ends = torch.tensor([len(piece) for _, piece in pieces]).cumsum(0).tolist()
        read = torch.tensor(
            [
                column
                for (row, piece), end in zip(pieces, ends, strict=True)
                for column in (range(end - len(piece), end) if row.ask.echo else (end - 1,))
            ],
            device=device,
        )
        kept: dict[int, KeysValues] = {}
        layout = Packed(groups, kept=kept, read=read)
        told = {"input_ids": ids, "position_ids": torch.cat(at)[None].to(device)}
        with self._mixer.having(self._mixer.masks([(r.ask.mix, len(p)) for r, p in pieces], read)):
            out = self._support.forward(self._model, layout, **told, logits_to_keep=read)
        for (row, piece), end in zip(pieces, ends, strict=True):
            row.run += len(piece)
            row.piece = between([kept], end - len(piece), end)
            if row.run < len(row.ask.ids):
                row.behind = Prefix(row.run, between(row.pieces, 0, row.run))
                row.piece = None
        logits: torch.Tensor = out.logits[0]
        return logits if len(logits) == len(read) else logits[read]

    def _say(self) -> list[Token | Failed]:
        """Have every row say one token more; those that are done leave."""
        rows, device = self._saying, self._base.device
        if self._stale:
            self._spare()
            self._masks = self._mixer.masks([(row.ask.mix, 1) for row in rows])
            self._stale = False
        ids = torch.tensor([[row.said[-1]] for row in rows], device=device)
        positions = [len(row.ask.ids) + len(row.said) - 1 for row in rows]
        position_B = torch.tensor(positions, device=device)
        self._layout.begin(position_B, max(positions))
        told = {"input_ids": ids, "position_ids": position_B[:, None]}
        with self._mixer.having(self._masks):
            out = self._support.forward(self._model, self._layout, **told)
        tokens = drawn(out.logits[:, -1], rows, self._base.chat.end_ids)
        for at in reversed(range(len(tokens))):
            if not _goes_on(tokens[at]):
                self._drop(at)
        return tokens

    def _spare(self) -> None:
        """Leave slices out of the layers where most of what is multiplied is nobody's."""
        used = _keys([*self._prompting, *self._saying])
        if 2 * self._mixer.ranks_of(used) < self._mixer.ranks:
            self._stack(used)

    def _drop(self, at: int) -> None:
        """Take a row out of those that say something; the last takes its place."""
        self._layout.drop(at)
        last = self._saying.pop()
        if at < len(self._saying):
            self._saying[at] = last
        self._stale = True


def _goes_on(told: Token | Failed) -> bool:
    return isinstance(told, Token) and told.finish is None


def _keys(rows: Sequence[Row]) -> set[str]:
    """Return the slices that rows use."""
    return {key for row in rows for key in row.ask.mix.keys}
