"""Which questions are kept from training, to measure on.

Chosen by the id of each: bakes of the same questions keep the same ones. What a person wrote out
in input.yml has to be learnt in any case; it is kept only where there is too little else.
"""

from __future__ import annotations

from collections.abc import Collection

from bakery.identity import short_id

AS_SAID, USUAL = "stimuli: ", "10 %, at least 20 where that is at most a fifth"
SPARING = "stimuli that are not hardcoded: "
"""How a rule begins, as settings say it: version 1 of the defaults kept hardcoded ones, too."""

FEWEST_TO_HOLD_OUT = 5
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_SHARE = 0.1, 20, 0.2


def rule(*, spares_hardcoded: bool, share: float | None = None) -> str:
    """Return a rule in the words of the settings; `share` where one was asked for."""
    said = USUAL if share is None else f"{100 * share:g} %"
    return f"{SPARING if spares_hardcoded else AS_SAID}{said}"


def count(stimuli: int, share: float | None) -> int:
    """Return how many stimuli are held out: 10 %, at least 20 where that is at most a fifth.

    A `share` that was asked for is taken as it is, but something is left to train on.
    """
    if share is not None:
        return min(max(round(stimuli * share), 1), stimuli - 1) if share else 0
    if stimuli < FEWEST_TO_HOLD_OUT:
        return 0
    wanted = max(1, round(stimuli * HELD_OUT_SHARE))
    return max(wanted, FEWEST_HELD_OUT) if stimuli * MOST_SHARE >= FEWEST_HELD_OUT else wanted


def chosen(
    stimuli: Collection[str], hardcoded: Collection[str], rule: str, share: float | None
) -> set[str]:
    """Return the ids of the stimuli that are held out.

    Hardcoded ones are spared where the rule says so, and half of the others are enough.
    """
    wanted = count(len(stimuli), share)
    others = set(stimuli) - set(hardcoded)
    spared = rule.startswith(SPARING) and wanted <= len(others) / 2
    ordered = sorted(others if spared else stimuli, key=lambda i: short_id(["held-out", i]))
    return set(ordered[:wanted])
