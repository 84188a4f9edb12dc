"""What is asked of a batch, and what comes back: token ids and numbers, no names and no text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from bakery.errors import BakeryError
from bakery.identity import SamplingSettings

Top = tuple[tuple[int, float], ...]
"""The likeliest tokens and their log probabilities, the likeliest first."""

Allowed = Callable[[Sequence[int]], torch.Tensor | None]
"""From the answer so far to which tokens may come next (V,); None: any.

It is asked once for each token, in order. A BakeryError ends the row, and no other.
"""


@dataclass(frozen=True, slots=True)
class Mix:
    """Which model a row is: slices by key, oldest first, each at a strength. () is the base."""

    parts: tuple[tuple[str, float], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Its slices."""
        return tuple(key for key, _ in self.parts)

    def effective(self) -> Mix:
        """Return it without the slices that do nothing: equal models are equal mixes."""
        return Mix(tuple((key, strength) for key, strength in self.parts if strength))


@dataclass(frozen=True, slots=True)
class Ask:
    """A row that wants to join: `ids` are its prompt, `settings` its own.

    `key` names it among those that are in the batch, and seeds it as in `SampleRequest`, unless
    there is a `seed`. `top`: so many of the likeliest tokens come with each; None: no log
    probabilities. `echo`: those of the prompt come, too; with it `max_tokens` may be 0.
    """

    key: str
    ids: tuple[int, ...]
    settings: SamplingSettings
    mix: Mix = Mix()
    seed: str | None = None
    top: int | None = None
    echo: bool = False
    allowed: Allowed | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a row. Log probabilities are the model's own, before temperature and all else.

    `finish` None: the row goes on; "stop" or "length": this was its last. `cached`, of the first
    token alone: so much of the prompt was in the prefix cache.
    """

    key: str
    id: int
    log_prob: float | None = None
    top: Top = ()
    finish: str | None = None
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Echo:
    """The prompt of a row that asked for it, once, before its first token.

    The first id has no log probability, as nothing is before it. `finish` "length": no token was
    asked for, so this is all.
    """

    key: str
    ids: tuple[int, ...]
    log_probs: tuple[float | None, ...]
    tops: tuple[Top, ...]
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that cannot have its model, as its adapter is gone, or not go on in its form."""

    key: str
    error: BakeryError


Told = Token | Echo | Failed
