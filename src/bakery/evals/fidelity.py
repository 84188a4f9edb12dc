"""Is the baked model the prompted one? On questions that it never trained on."""

from __future__ import annotations

from collections.abc import Sequence

from bakery.card import FEWEST_STIMULI, LITTLE_TO_BAKE
from bakery.evals.figures import Axis, Figure, unmeasured
from bakery.evals.intervals import ratio
from bakery.evals.lab import Case, Lab, Near
from bakery.evals.subject import Asked, Subject
from bakery.records import user_text

OF = "questions"


def fidelity(lab: Lab, subject: Subject) -> Axis:
    """Measure both divergences of the baked model from the prompted parent.

    Forward on the prompted parent's recorded answers, reverse on the baked model's own samples.
    """
    asked = subject.asked[: lab.suite.questions]
    if not asked:
        return unmeasured("fidelity", "there is no question to ask", target=subject.name)
    places, cases = cases_of(lab, asked)
    taught = lab.read("prompted", cases)
    baked = merged(places, lab.near(taught, lab.read("baked", cases)))
    parent = merged(places, lab.near(taught, lab.read("parent", cases)))
    said = lab.say_to("baked", asked, temperature=1.0)
    own = [Case(q.messages, s.ids, q.values) for q, s in zip(asked, said, strict=True) if s.ids]
    back = lab.near(lab.read("baked", own), lab.read("prompted", own))
    tokens, answered = [one.tokens for one in baked], [asked[at] for at in sorted(set(places))]
    figures = (
        ratio("forward_kl", [n.forward for n in baked], tokens, "nats", OF),
        ratio("forward_kl_parent", [n.forward for n in parent], tokens, "nats", OF),
        gap_closed(baked, parent),
        ratio("reverse_kl", [n.forward for n in back], [n.tokens for n in back], "nats", OF),
        ratio("top1", [n.top1 for n in baked], tokens, "share", OF),
        ratio("top5", [n.top5 for n in baked], tokens, "share", OF),
        Figure("worst_token", max(n.worst for n in baked), "nats", len(baked), OF),
    )
    rows = [
        {
            "question": user_text(one.messages),
            "forward_kl": near.forward / near.tokens,
            "parent_kl": before.forward / before.tokens,
            "worst_token": near.worst,
        }
        for one, near, before in zip(answered, baked, parent, strict=True)
    ]
    on = f"{len(baked)} {subject.on}, {sum(tokens)} tokens of the prompted parent's answers"
    return Axis("fidelity", on, figures, tuple(rows), subject.name)


def gap_closed(baked: Sequence[Near], parent: Sequence[Near]) -> Figure:
    """Return 1 − KL(prompted ‖ baked) / KL(prompted ‖ parent), where that can be said."""
    before, tokens = sum(n.forward for n in parent), sum(n.tokens for n in parent)
    why = ""
    if len(baked) < FEWEST_STIMULI:
        why = f"fewer than {FEWEST_STIMULI} questions"
    elif before < LITTLE_TO_BAKE * tokens:
        why = "the prompt hardly moves the parent"
    if why:
        return Figure("gap_closed", None, "share", len(baked), OF, why=why)
    parts = [n.forward for n in baked], [n.forward for n in parent]
    return ratio("gap_closed", *parts, "share", OF, inverted=True)


def cases_of(lab: Lab, asked: Sequence[Asked]) -> tuple[list[int], list[Case]]:
    """Return every recorded answer with the place of its question; where there is none, ask.

    The prompted parent answers then, greedily.
    """
    new = [at for at, one in enumerate(asked) if not any(one.answers)]
    said = lab.say_to("prompted", [asked[at] for at in new]) if new else []
    given = {at: (answer.ids,) for at, answer in zip(new, said, strict=True)}
    places, cases = [], []
    for at, one in enumerate(asked):
        for ids in given.get(at, one.answers):
            if ids:
                places.append(at)
                cases.append(Case(one.messages, ids, one.values))
    return places, cases


def merged(places: Sequence[int], near: Sequence[Near]) -> list[Near]:
    """Return one sum for each question, over all of its answers."""
    found: dict[int, Near] = {}
    for at, one in zip(places, near, strict=True):
        found[at] = _sum(found[at], one) if at in found else one
    return [found[at] for at in sorted(found)]


def _sum(a: Near, b: Near) -> Near:
    return Near(
        a.tokens + b.tokens,
        a.forward + b.forward,
        a.reverse + b.reverse,
        a.top1 + b.top1,
        a.top5 + b.top5,
        max(a.worst, b.worst),
    )
