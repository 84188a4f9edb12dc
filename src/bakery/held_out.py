"""Which questions are kept from training, to measure on.

Chosen by the id of each: bakes of the same questions keep the same ones. What a person wrote out
in input.yml has to be learnt in any case, unless it says `hold_out: true`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from bakery.identity import short_id
from bakery.records import Stimulus
from bakery.shaping import TrainingSettings

AS_SAID, USUAL = "stimuli: ", "10 %, at least 20 where that is at most a fifth"
SPARING = "stimuli that are not hardcoded: "
NEVER = "stimuli, hardcoded ones never: "
"""How a rule begins, as settings say it: version 1 of the defaults kept hardcoded ones, too, and
version 2 where there was too little else."""

FEWEST_TO_HOLD_OUT = 5
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_SHARE = 0.1, 20, 0.2


def of(asked: Mapping[str, Stimulus], settings: TrainingSettings) -> set[str]:
    """Return which of a target's questions are held out, by their ids."""
    written = {i for i, one in asked.items() if one.is_written_out}
    wanted = {i for i, one in asked.items() if one.hold_out}
    return chosen(asked, written, settings.held_out, settings.eval_share, wanted)


def rule(
    *, spares_hardcoded: bool, share: float | None = None, learns_hardcoded: bool = False
) -> str:
    """Return a rule in the words of the settings; `share` where one was asked for."""
    said = USUAL if share is None else f"{100 * share:g} %"
    begins = NEVER if learns_hardcoded else SPARING if spares_hardcoded else AS_SAID
    return f"{begins}{said}"


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


def number(stimuli: int, hardcoded: int, asked: int, rule: str, share: float | None) -> int:
    """Return how many are held out of so many stimuli, those `asked` for among them.

    Where hardcoded ones never are, half of the others is the most, or all where a share is said.
    """
    wanted = max(0, count(stimuli, share) - asked)
    if rule.startswith(NEVER):
        others = stimuli - hardcoded - asked
        wanted = min(wanted, others // 2 if share is None else others - (not hardcoded))
    return asked + min(max(0, wanted), stimuli - asked)


def chosen(
    stimuli: Collection[str],
    hardcoded: Collection[str],
    rule: str,
    share: float | None,
    asked: Collection[str] = (),
) -> set[str]:
    """Return the ids of the stimuli that are held out, those `asked` for among them.

    Hardcoded ones are spared where the rule says so: always, or where half of the others are
    enough.
    """
    kept = set(asked) & set(stimuli)
    free = set(stimuli) - kept
    others = free - set(hardcoded)
    wanted = number(len(stimuli), len(free) - len(others), len(kept), rule, share) - len(kept)
    is_spared = rule.startswith(NEVER) or (rule.startswith(SPARING) and wanted <= len(others) / 2)
    ordered = sorted(others if is_spared else free, key=lambda i: short_id(["held-out", i]))
    return kept | set(ordered[:wanted])
