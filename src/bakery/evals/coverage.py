"""Which answers hang on which statement of a prompt, and how much of each was learnt.

A statement is taken out of the prompt, and the recorded answers are scored again: nothing is
sampled. Shapes: N answer tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from bakery.engine.loss.losses import Divergence
from bakery.engine.loss.readout import Readout
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.scoring import in_order
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, View
from bakery.records import Message, Prompt
from bakery.statements import finely, without
from bakery.variables import Values, filled
from bakery.verdict import Covered

MOVED = 0.5
"""Nats at one token of an answer from which it hangs on a statement."""
TOUCHED = 0.1
"""Nats from which a token of such an answer does: there the gap is measured."""
LITTLE = 0.01
"""Nats per token under which there is no gap to close."""
FEWEST = 6
"""Questions under which nothing is said."""

NEUTRAL: tuple[Message, ...] = ({"role": "system", "content": "Answer the question."},)
"""What stands for a prompt that says nothing: without any, a template may put in one of its own."""

IDLE = (
    "no question asks for it, or the model does so anyway, or cannot follow it. Ask for it where "
    "it is to be learnt (`type: facts` asks about every sentence)"
)
"""What is said of statements on which no answer hangs."""

Tokens = tuple[torch.Tensor, ...]
"""What was measured at each answer token (N,), pair by pair."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, and the answer of the teacher to it."""

    pair: Pair
    messages: tuple[Message, ...]
    values: Values | None = None
    """What fills the variables of the prompt for it."""


@dataclass(frozen=True, slots=True)
class Dependence:
    """A statement, and which tokens (N,) of which answers hang on it, by the pair's number."""

    statement: str
    tokens: Mapping[int, torch.Tensor]


def affordable(prompt: Prompt, answered: Sequence[Answered], most_tokens: float) -> int:
    """Return how many of the questions can be looked at, for about so many tokens; 0: too few."""
    each = len(finely(prompt)) or 1
    room, count = most_tokens, 0
    for one in answered:
        # What comes before the question is run once for all.
        room -= each * (one.pair.num_targets + 16)
        count += room >= 0
    return count if count >= FEWEST else 0


@torch.no_grad()
def dependences(
    parent: nn.Module,
    readout: Readout,
    record: Features,
    chat: Chat,
    prompt: Prompt,
    answered: Sequence[Answered],
) -> list[Dependence]:
    """Return what hangs on each statement of a prompt; `parent` as it answers, without the bake.

    Where none alone would be missed, as others say the same, an answer hangs on each statement
    that does for all of them.
    """

    def moved(shorter: Prompt, numbers: Iterable[int]) -> dict[int, torch.Tensor]:
        some = {at: answered[at] for at in numbers if answered[at].pair.num_targets}
        views = [_behind(chat, shorter, one) for one in some.values()]
        pairs = [one.pair for one in some.values()]
        return dict(zip(some, values(parent, readout, record, views, pairs), strict=True))

    said, every = finely(prompt), range(len(answered))
    found = {one: _touched(moved(without(prompt, one), every)) for one in said}
    rest = set(every).difference(*found.values()) if len(said) > 1 else ()
    bare = without(prompt, *said)
    if not bare.messages:
        bare = Prompt(NEUTRAL, prompt.tools)
    together = _touched(moved(bare, rest))
    for one in said if together else ():
        alone = without(prompt, *(other for other in said if other is not one))
        for at, still in moved(alone, together).items():
            kept = together[at] & (still < TOUCHED)
            if float(still.max()) < MOVED and bool(kept.any()):
                found[one][at] = kept
    return [Dependence(one.text, tokens) for one, tokens in found.items()]


def _touched(moved: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Return which tokens of which answers hang on what was left out."""
    return {at: part >= TOUCHED for at, part in moved.items() if float(part.max()) >= MOVED}


@torch.no_grad()
def values(
    model: nn.Module,
    readout: Readout,
    record: Features,
    views: Sequence[View],
    pairs: Sequence[Pair],
) -> Tokens:
    """Return the divergence of what the teacher said of pairs at each token of other views."""
    if not pairs:
        return ()
    features = in_order(model, readout, views)
    teacher = record.features_of_pairs(pairs).to(features.device)
    apart_N, _ = readout.compare(features, teacher, Divergence(), record.form)
    return tuple(torch.split(apart_N.cpu(), [pair.num_targets for pair in pairs]))


def covered(found: Sequence[Dependence], before: Tokens, after: Tokens) -> tuple[Covered, ...]:
    """Return how much of each statement was learnt, at the tokens that hang on it."""
    return tuple(
        Covered(one.statement, len(one.tokens), _closed(one, before, after)) for one in found
    )


def unasked(found: Sequence[Dependence]) -> list[str]:
    """Return the statements on which no answer hangs."""
    return [one.statement for one in found if not one.tokens]


def _closed(one: Dependence, before: Tokens, after: Tokens) -> float | None:
    gap = sum(float(before[at][mask].sum()) for at, mask in one.tokens.items())
    left = sum(float(after[at][mask].sum()) for at, mask in one.tokens.items())
    count = sum(int(mask.sum()) for mask in one.tokens.values())
    return 1 - left / gap if count and gap / count >= LITTLE else None


def _behind(chat: Chat, prompt: Prompt, one: Answered) -> View:
    said = one.pair.teacher.target_ids
    prefix = chat.prefix_ids(filled(prompt, one.values), one.messages)
    return View((*prefix, *said), ((len(prefix), len(prefix) + len(said)),))
