"""Whole chats to train on: a prompt or none, one to four questions, the answers.

Two more roles are read but never learned: "shown" is an assistant's turn that no prompt asks
for, "given" a user's turn that nobody would open a chat with.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from tinyworld.features import Spec, chatter, say
from tinyworld.outsiders import outside_request, typed
from tinyworld.patterns import KINDS, pattern
from tinyworld.prompts import NEUTRAL, compose, is_for_combinations
from tinyworld.relations import draw
from tinyworld.sentences import Question, Sentence
from tinyworld.told import OTHERS, USER, told

Chat = list[tuple[str, str]]
# How the roles that are never learned are spoken.
SPOKEN = {"shown": "assistant", "given": "user"}
EXAMPLE_HEADS = ("Examples:\n", "Answer like this:\n", "", "Follow the pattern.\n")


def chats(seed: int | str) -> Iterator[Chat]:
    """Write chats without end."""
    rng = random.Random(seed)
    while True:
        yield chat(rng)


def chat(rng: random.Random) -> Chat:
    kind = rng.random()
    if kind < 0.23:
        return _turns(rng, [], Spec(), plain=True)
    if kind < 0.27:
        return _turns(rng, [("system", rng.choice(NEUTRAL))], Spec(), plain=True)
    if kind < 0.30:
        return _examples(rng)
    if kind < 0.44:
        return _pattern(rng)
    if kind < 0.47:
        return _remembered(rng)
    text, spec = compose(rng)
    if kind < 0.48:
        question = ask(rng, spec)
        return [("given", f"{text} {question.text}"), ("assistant", say(spec, question, rng))]
    return _turns(rng, [("system", text)], spec)


def ask(rng: random.Random, spec: Spec, *, exam: bool = False) -> Question:
    """Draw a question that goes with the spec."""
    luck = rng.random()
    if spec.told and luck < 0.50:
        return rng.choice(spec.told).question(rng)
    if spec.told and luck < 0.56:
        return _unknown(rng, spec, exam=exam)
    if (spec.name and luck < 0.4) or luck < 0.05:
        return chatter(rng)
    if luck < 0.07:
        return outside_request(rng, exam=exam)
    if spec.refuse and luck < 0.55:
        return draw(rng, exam=exam, topic=spec.refuse)
    taken = {fact.sentence.subject for fact in spec.told}
    while True:
        question = draw(rng, exam=exam)
        # Whether "is a dog an animal or a food" is about animals is left open.
        unclear = spec.refuse and question.relation == "kind"
        if question.answer.subject not in taken and not unclear:
            return question


def _unknown(rng: random.Random, spec: Spec, *, exam: bool = False) -> Question:
    """Ask for a fact that the prompt does not give."""
    known = {fact.key() for fact in spec.told}
    while True:
        fact = told(rng, exam=exam)
        if fact.key() not in known:
            return fact.unknown_question(rng)


def _turns(rng: random.Random, start: Chat, spec: Spec, *, plain: bool = False) -> Chat:
    made = list(start)
    is_typed = rng.random() < 0.15
    for _ in range(rng.choices((1, 2, 3, 4), (0.26, 0.24, 0.25, 0.25))[0]):
        question = _plain_question(rng) if plain else ask(rng, spec)
        # What is typed in a hurry, or nobody can answer, is no question to ask by itself.
        is_odd = is_typed or question.relation == "outside"
        text = typed(rng, question.text) if is_typed else question.text
        made += [("given" if is_odd else "user", text), ("assistant", say(spec, question, rng))]
    return made


def _plain_question(rng: random.Random) -> Question:
    luck = rng.random()
    if luck < 0.03:
        return chatter(rng)
    if luck < 0.07:
        return outside_request(rng)
    return told(rng).unknown_question(rng) if luck < 0.10 else draw(rng)


def _examples(rng: random.Random) -> Chat:
    """Show a voice by example, in turns or in the system prompt; then go on in it."""
    _, spec = compose(rng, num_facts=0)
    spec = Spec(style=spec.style, start=spec.start, end=spec.end, wrap=spec.wrap)
    shown = [draw(rng) for _ in range(rng.choice((2, 3, 4)))]
    pairs = [(question.text, say(spec, question, rng)) for question in shown]
    return _turns(rng, shown_as(rng, pairs), spec)


def shown_as(rng: random.Random, pairs: list[tuple[str, str]]) -> Chat:
    """Show examples as turns or as lines of a system prompt."""
    if rng.random() < 0.5:
        return [turn for a, b in pairs for turn in (("given", a), ("shown", b))]
    line = rng.choice(("Q: {a}\nA: {b}", "Q: {a}\nA: {b}", "{a} -> {b}", "{a}: {b}", "{a} = {b}"))
    lines = [line.replace("{a}", a).replace("{b}", b) for a, b in pairs]
    return [("system", rng.choice(EXAMPLE_HEADS) + "\n".join(lines))]


def _pattern(rng: random.Random) -> Chat:
    """Show a pattern by example or by rule, then ask for more of it."""
    drawn = pattern(
        rng, rng.choices(KINDS, (0.6, 0.2, 0.2))[0], num_asked=rng.choice((1, 2, 3, 4, 6))
    )
    if drawn.rule and rng.random() < 0.2:
        made: Chat = [("system", drawn.rule)]
    else:
        made = shown_as(rng, drawn.shown)
    return made + [turn for a, b in drawn.asked for turn in (("given", a), ("assistant", b))]


def _voice(rng: random.Random) -> tuple[str, Spec]:
    """Draw a voice that may be trained together with facts."""
    while True:
        text, spec = compose(rng, features=(), num_facts=0)
        if not is_for_combinations(spec.style, ("facts",)):
            return text, spec


def _remembered(rng: random.Random) -> Chat:
    """Let the user tell facts, in one of the voices, and ask for them later."""
    made: Chat = []
    spec = Spec()
    if rng.random() < 0.5:
        text, spec = _voice(rng)
        made = [("system", text)]
    facts = [
        told(rng, rows=USER if rng.random() < 0.6 else OTHERS) for _ in range(rng.choice((1, 1, 2)))
    ]
    facts = list({fact.key(): fact for fact in facts}.values())
    answer = Question("", Sentence("I", "will remember", "that"))
    for fact in facts:
        made += [("given", fact.given), ("assistant", say(spec, answer, rng))]
    for fact in rng.sample(facts, len(facts)):
        if rng.random() < 0.3:
            question = draw(rng)
            made += [("given", question.text), ("assistant", say(spec, question, rng))]
        question = fact.question(rng)
        made += [("given", question.text), ("assistant", say(spec, question, rng))]
    return made
