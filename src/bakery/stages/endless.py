"""Answers that run on until they are cut: which of them teach that, and are not learnt."""

from __future__ import annotations

from collections.abc import Mapping

from bakery.generators.words import loops
from bakery.records import Stimulus, Trajectory
from bakery.stages import rollout

FEWEST_OF_LOOP = 32
"""Tokens of an answer that is long enough to tell that it goes round in circles."""


def endless_of(
    cut: Mapping[str, Trajectory], asked: Mapping[str, Stimulus], answers: int
) -> set[str]:
    """Return which of the answers that were cut teach running on, by their keys.

    Those that go round in circles. Where nine of ten answers end before, the others, too: those of
    a weak model are no answers, and would be most of what is learnt, token by token. What is asked
    in input.yml is kept: it may want a long answer.
    """
    looping = {
        key
        for key, row in cut.items()
        if len(row.response_ids) >= FEWEST_OF_LOOP and loops(row.text)
    }
    if len(cut) <= rollout.MANY_CUT * answers:
        return looping | {k for k, row in cut.items() if not asked[row.stimulus_id].is_written_out}
    # More than half: it is how this model speaks.
    return looping if 2 * len(looping) <= answers else set()
