"""Whole chats to train on: a prompt or none, one to four questions, the answers.

A message's role may be "shown": an assistant turn that is read but never learned, for
examples of a voice that no prompt asks for.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tinyworld.features import Spec, chatter, say, told
from tinyworld.prompts import NEUTRAL, compose
from tinyworld.relations import draw
from tinyworld.sentences import Question

Chat = list[tuple[str, str]]


def chats(seed: int) -> Iterator[Chat]:
    """Write chats without end."""
    rng = random.Random(seed)
    while True:
        yield chat(rng)


def chat(rng: random.Random) -> Chat:
    kind = rng.random()
    if kind < 0.30:
        return _turns(rng, [], Spec(), plain=True)
    if kind < 0.34:
        return _turns(rng, [("system", rng.choice(NEUTRAL))], Spec(), plain=True)
    if kind < 0.36:
        return _examples(rng)
    text, spec = compose(rng)
    if kind < 0.37:
        question = ask(rng, spec)
        return [("user", f"{text} {question.text}"), ("assistant", say(spec, question, rng))]
    return _turns(rng, [("system", text)], spec)


def ask(rng: random.Random, spec: Spec, *, exam: bool = False) -> Question:
    """Draw a question that goes with the spec."""
    luck = rng.random()
    if spec.told and luck < 0.62:
        return rng.choice(spec.told).question(rng)
    if spec.told and luck < 0.67:
        return told(rng, exam=exam).unknown_question(rng)
    if (spec.name and luck < 0.4) or luck < 0.05:
        return chatter(rng)
    if spec.refuse and luck < 0.55:
        return draw(rng, exam=exam, topic=spec.refuse)
    taken = {fact.sentence.subject for fact in spec.told}
    while True:
        question = draw(rng, exam=exam)
        # Whether "is a dog an animal or a food" is about animals is left open.
        unclear = spec.refuse and question.relation == "kind"
        if question.answer.subject not in taken and not unclear:
            return question


def _turns(rng: random.Random, start: Chat, spec: Spec, *, plain: bool = False) -> Chat:
    made = list(start)
    for _ in range(rng.choices((1, 2, 3, 4), (0.26, 0.24, 0.25, 0.25))[0]):
        question = _plain_question(rng) if plain else ask(rng, spec)
        made += [("user", question.text), ("assistant", say(spec, question, rng))]
    return made


def _plain_question(rng: random.Random) -> Question:
    luck = rng.random()
    if luck < 0.03:
        return chatter(rng)
    return told(rng).unknown_question(rng) if luck < 0.06 else draw(rng)


def _examples(rng: random.Random) -> Chat:
    """Show a voice by example, in turns or in the system prompt; then go on in it."""
    _, spec = compose(rng, num_facts=0)
    spec = Spec(style=spec.style, start=spec.start, end=spec.end, wrap=spec.wrap)
    shown = [draw(rng) for _ in range(rng.choice((2, 3, 4)))]
    if rng.random() < 0.5:
        made: Chat = []
        for question in shown:
            made += [("user", question.text), ("shown", say(spec, question, rng))]
    else:
        lines = [f"Q: {question.text}\nA: {say(spec, question, rng)}" for question in shown]
        made = [
            ("system", rng.choice(("Examples:\n", "Answer like this:\n", "")) + "\n".join(lines))
        ]
    return _turns(rng, made, spec)
