"""The card: is the baked model the prompted one, on questions it never trained on?

Teacher = parent under the teacher prompt. Divergences are means over response tokens, in nats.
Where several targets are mixed there is a card of each, too: an anchor's says what has drifted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bakery.engine.teacher.fidelity import LITTLE_TO_BAKE, Fidelity

FEWEST_STIMULI = 20
"""Held-out stimuli under which no percentages are given."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a bake achieved. None where there is too little to say it."""

    held_out: int
    tokens: int
    kl_before: float | None
    kl_after: float | None
    gap_closed: float | None
    top1_agreement: float | None
    prompt_tokens_saved: float


def card(
    before: Fidelity | None, after: Fidelity | None, held_out: int, prompt_tokens_saved: float
) -> dict[str, Any]:
    """Return the card as stored.

    Ratios are only there where enough stimuli are held out, and where there was a gap to close.
    """
    if before is None or after is None:
        return asdict(Card(held_out, 0, None, None, None, None, prompt_tokens_saved))
    enough = held_out >= FEWEST_STIMULI
    closed = 1 - after.kl / before.kl if enough and before.kl >= LITTLE_TO_BAKE else None
    return asdict(
        Card(
            held_out,
            after.tokens,
            before.kl,
            after.kl,
            closed,
            after.top1_agreement if enough else None,
            prompt_tokens_saved,
        )
    )
