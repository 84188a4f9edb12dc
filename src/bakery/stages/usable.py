"""How many of a writer's replies were usable questions, and the gate before a poor set is answered.

Counted from the rows alone, so that a run that goes on counts the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bakery.errors import GateError
from bakery.generators import judge, oneshot
from bakery.generators.sieve import SURPLUS, UNUSABLE
from bakery.identity import StimRequest
from bakery.records import Stimulus, user_text

FEWEST_JUDGED, USABLE_SHARE = 8, 0.5
"""Fewer replies say nothing of a writer; where less than this share is usable, nobody goes on."""

EARLY = 48
"""After so many replies a poor writer is stopped, before it has cost all that was asked for."""

SAMPLES = 3

Judged = dict[str, Any]
"""What is kept of a writer: `writer`, `usable` of `of` replies, some `good` and `bad` ones."""


def judged(
    request: StimRequest,
    source: int,
    rows: Sequence[Stimulus],
    rejected: Sequence[tuple[str, str]],
    origin: Mapping[str, Any],
) -> Judged | None:
    """Judge what a model wrote for a generator; None: nobody did, or it was asked in own words.

    Whoever asks in words of his own may want what the judge would refuse.
    """
    generator = request.generators[source]
    own_words = generator.keys() & {"template_path", "template_content"}
    if own_words and origin.get("way") != "user":
        return None
    prompt = judge.against(request.teacher)
    wrote = [row for row in rows if row.source == source and row.round >= 0]
    good, bad = [], [(text, why) for text, why in rejected if why in UNUSABLE]
    for text in (
        *(user_text(row.messages) for row in wrote),
        *(text for text, why in rejected if why == SURPLUS),
    ):
        why = judge.why_not(text, prompt)
        if why is None:
            good.append(text)
        else:
            bad.append((text, why))
    writers = dict.fromkeys(row.writer for row in wrote if row.writer != oneshot.OPENERS_WRITER)
    return {
        "writer": ", ".join(writers),
        "usable": len(good),
        "of": len(good) + len(bad),
        "good": good[:SAMPLES],
        "bad": [list(one) for one in bad[:SAMPLES]],
    }


def poor(found: Mapping[str, Judged]) -> list[Judged]:
    """Return the writers of a set that too few replies of were usable."""
    return [
        one
        for one in found.values()
        if one["of"] >= FEWEST_JUDGED and one["usable"] < USABLE_SHARE * one["of"]
    ]


def samples(one: Judged) -> Iterator[str]:
    """Yield what a person should see of a writer: some messages, and some that are not."""
    for text in one["good"]:
        yield f"usable: {text}"
    for text, why in one["bad"]:
        yield f"not usable ({why}): {text:.200}"


def refusal(found: Sequence[Judged]) -> GateError:
    """Return the error that stops a run before poor questions are answered."""
    said = "; ".join(
        f"only {one['usable']} of {one['of']} replies of {one['writer'] or 'the writer'} are "
        f"messages that a person could send ({100 * one['usable'] // one['of']} %)"
        for one in found
    )
    return GateError(
        said,
        hint="`bgit stim` shows the questions, which are kept. Another `model` (`bgit models`, or "
        "an endpoint), type: hardcoded, from_dataset or persona give better ones; "
        "`bgit run --allow questions` goes on with these.",
    )
