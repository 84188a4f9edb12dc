"""Does a new system prompt still override what was baked in?"""

from __future__ import annotations

from bakery.errors import ConfigError
from bakery.evals.figures import Axis, unmeasured
from bakery.evals.intervals import ratio, share
from bakery.evals.lab import Case, Lab
from bakery.evals.subject import Subject
from bakery.records import Prompt, user_text

OF = "questions"

CONTRARY = (
    "You are a plain assistant without any special role. Answer shortly and in plain English.",
    "You are a pirate. Speak like a pirate.",
    "Answer in capital letters only.",
)
"""Prompts that ask for something else than most prompts do."""


def steerability(lab: Lab, subject: Subject) -> Axis:
    """Measure how much of what a new prompt does to the parent it does to the baked model.

    With v the new prompt, on the parent's answers under v:
    1 − KL(parent, v ‖ baked, v) / KL(parent, v ‖ baked).
    """
    asked = [one.messages for one in subject.asked[: lab.suite.repeated]]
    if not asked:
        return unmeasured("steerability", "there is no question to ask", target=subject.name)
    left, whole, moved, tokens, same, rows = [], [], [], [], 0, []
    contrary = CONTRARY[: lab.suite.contrary]
    for text in contrary:
        prompt = _prompt(text)
        try:
            said = lab.say("parent", asked, behind=[prompt] * len(asked))
        except ConfigError as error:
            return unmeasured("steerability", error.message, target=subject.name)
        mine = lab.say("baked", asked, behind=[prompt] * len(asked))
        pairs = [(q, s, m) for q, s, m in zip(asked, said, mine, strict=True) if s.ids]
        cases = [Case(q, s.ids) for q, s, _ in pairs]
        behind = [prompt] * len(cases)
        wanted = lab.read("parent", cases, behind=behind)
        under = lab.near(wanted, lab.read("baked", cases, behind=behind))
        without = lab.near(wanted, lab.read("baked", cases))
        parent = lab.near(wanted, lab.read("parent", cases))
        left += [n.forward for n in under]
        whole += [n.forward for n in without]
        moved += [n.forward for n in parent]
        tokens += [n.tokens for n in under]
        same += sum(s.ids == m.ids for _, s, m in pairs)
        rows += [
            {"prompt": text, "question": user_text(q), "parent": s.text, "baked": m.text}
            for q, s, m in pairs
        ]
    figures = (
        ratio("override", left, whole, "share", OF, inverted=True),
        ratio("kl_under_new_prompt", left, tokens, "nats", OF),
        ratio("kl_without_it", whole, tokens, "nats", OF),
        ratio("kl_parent_without_it", moved, tokens, "nats", OF),
        share("same_answer", same, len(rows), OF),
    )
    on = (
        f"{len(asked)} {subject.on} under each of {len(contrary)} new prompts, "
        f"{sum(tokens)} tokens of the parent's answers"
    )
    return Axis("steerability", on, figures, tuple(rows), subject.name)


def _prompt(text: str) -> Prompt:
    return Prompt(({"role": "system", "content": text},))
