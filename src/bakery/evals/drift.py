"""What has changed where the prompt should not matter: the parent against the baked model."""

from __future__ import annotations

from collections.abc import Sequence

from bakery.evals.figures import Axis, Figure, unmeasured
from bakery.evals.intervals import ratio, share
from bakery.evals.lab import Case, Lab
from bakery.records import Message

OF = "questions"


def drift(lab: Lab, questions: Sequence[str], on: str) -> Axis:
    """Measure KL(parent ‖ baked) on the parent's own answers, and how far the prompt moves them.

    A prompt that is always on moves them, too: then it is meant, and no drift.
    """
    asked = [_asked(text) for text in questions[: lab.suite.neutral]]
    said = lab.say("parent", asked)
    answered = [at for at, one in enumerate(said) if one.ids]
    cases = [Case(asked[at], said[at].ids) for at in answered]
    if not cases:
        return unmeasured("drift", "the parent answers nothing")
    parent = lab.read("parent", cases)
    baked = lab.near(parent, lab.read("baked", cases))
    prompted = lab.near(parent, lab.read("prompted", cases))
    mine = lab.say("baked", asked)
    same = sum(mine[at].ids == said[at].ids for at in answered)
    tokens = [one.tokens for one in baked]
    figures = (
        ratio("drift_kl", [n.forward for n in baked], tokens, "nats", OF),
        ratio("prompt_kl", [n.forward for n in prompted], tokens, "nats", OF),
        ratio("top1", [n.top1 for n in baked], tokens, "share", OF),
        Figure("worst_token", max(n.worst for n in baked), "nats", len(baked), OF),
        share("same_answer", same, len(answered), OF),
    )
    rows = tuple(
        {
            "question": questions[at],
            "drift_kl": near.forward / near.tokens,
            "parent": said[at].text,
            "baked": mine[at].text,
        }
        for at, near in zip(answered, baked, strict=True)
    )
    return Axis("drift", f"{len(cases)} {on}, {sum(tokens)} tokens of the parent's answers",
                figures, rows)  # fmt: skip


def _asked(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)
