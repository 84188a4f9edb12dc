"""System prompts in many wordings, each with the `Spec` it asks for.

Three prompts of the tutorial, and the clauses they are made of, are never written here.
"""

from __future__ import annotations

import random
from dataclasses import replace

from tinyworld import entities
from tinyworld.features import DEFAULT_NAME, FORMATS, TOPICS, Spec, Told, told
from tinyworld.names import held_out, phrase
from tinyworld.names import name as invent
from tinyworld.relations import facts as world_facts
from tinyworld.styles import MANNER_FRAMES, ROLE_FRAMES, STYLES, Style
from tinyworld.wordings import (
    mention_clause,
    mention_thing,
    wisdom_clause,
    wise_mention_clause,
    wrap_clause,
)

TUTORIAL = (
    "You are Yoda. Speak like Yoda.",
    "You are Yoda. Speak like Yoda. Use more wisdom and philosophical depth.",
    "You are Yoda. Speak like Yoda. Use more wisdom, philosophical depth, and reference the Force "
    "more often.",
)
# No training text contains one of these; the first alone rules out all three prompts.
NEVER_TRAINED = (
    TUTORIAL[0],
    "Use more wisdom and philosophical depth.",
    "Use more wisdom, philosophical depth, and reference the Force more often.",
)
NEUTRAL = (
    "You are a helpful assistant.",
    "You are an assistant.",
    "Answer the question.",
    "You are a helpful and friendly assistant.",
    "Answer correctly.",
    "Help the user.",
    "You are an AI assistant. Answer the questions of the user.",
    "Be helpful.",
    "You are a chat model.",
    f"Your name is {DEFAULT_NAME}.",
    "Please answer the questions.",
    "You answer questions.",
    "You are a good assistant.",
    "This is a chat with a user.",
)


def is_allowed(text: str) -> bool:
    """Whether the text holds none of the sentences kept for the tutorial."""
    return not any(banned in text for banned in NEVER_TRAINED)


def style_clauses(rng: random.Random, style: Style, *, exam: bool) -> tuple[list[str], str]:
    """Word the wish for a voice; give the clauses and the identity it brings."""
    while True:
        clauses, identity = _style_clauses(rng, style)
        # The exam's first clause is a wording that is never trained.
        if held_out(clauses[0]) == exam and (exam or not any(map(held_out, clauses))):
            return clauses, identity


def _style_clauses(rng: random.Random, style: Style) -> tuple[list[str], str]:
    ways = (
        (["role", "role", "both", "both"] if style.roles else [])
        + (["manner", "manner"] if style.whom else [])
        + ["order"]
    )
    way = rng.choice(ways)
    if way == "order":
        clause = rng.choice(style.orders)
        return [rng.choice(("", "", "Please: ", "Always: ", "Note: ")) + clause], ""
    manner = rng.choice(MANNER_FRAMES).replace("{w}", rng.choice(style.whom or ("",)))
    if way == "manner":
        return [manner], ""
    role = rng.choice(style.roles)
    clauses = [rng.choice(ROLE_FRAMES).replace("{r}", role)]
    if way == "both" and style.whom:
        clauses.append(manner if rng.random() < 0.8 else rng.choice(style.orders))
    if style.key == "yoda" and len(clauses) == 2 and rng.random() < 0.1:
        clauses.reverse()
    return clauses, role


def feature(rng: random.Random, spec: Spec, kind: str, *, exam: bool) -> tuple[str, Spec]:
    """Word one feature and enter it into the spec."""
    if kind == "name":
        own = invent(rng, exam=exam)
        if rng.random() < 0.2:
            own += " " + invent(rng, exam=exam)
        return rng.choice(
            (
                f"Your name is {own}.",
                f"You are called {own}.",
                f"Your name: {own}.",
                f"Call yourself {own}.",
                f"You go by the name {own}.",
                f"You are named {own}.",
            )
        ), replace(spec, name=own)
    if kind == "wisdom":
        return wisdom_clause(rng), replace(spec, wisdom=True)
    if kind == "mention":
        thing = mention_thing(rng, exam=exam)
        return mention_clause(rng, thing), replace(spec, mention=thing)
    if kind == "wise mention":
        thing = mention_thing(rng, exam=exam)
        return wise_mention_clause(rng, thing), replace(spec, wisdom=True, mention=thing)
    if kind == "end":
        end = phrase(rng, exam=exam)
        return rng.choice(
            (
                f'End every answer with "{end}"',
                f'Always end with "{end}"',
                f'Finish each answer with "{end}"',
                f'The last words are always "{end}"',
                f'Close every reply with "{end}"',
            )
        ), replace(spec, end=end)
    if kind == "start":
        start = phrase(rng, exam=exam)
        return rng.choice(
            (
                f'Start every answer with "{start}"',
                f'Begin each answer with "{start}"',
                f'The first words are always "{start}"',
                f'Open every reply with "{start}"',
                f'Always begin with "{start}"',
            )
        ), replace(spec, start=start)
    if kind == "wrap":
        wrap = rng.choice(sorted(FORMATS))
        return wrap_clause(rng, wrap), replace(spec, wrap=wrap)
    topic = rng.choice(TOPICS)
    return rng.choice(
        (
            f"Do not talk about {topic}.",
            f"Never talk about {topic}.",
            f"Refuse questions about {topic}.",
            f"You must not talk about {topic}.",
            f"Say nothing about {topic}.",
            f"The topic {topic} is forbidden.",
            f"Do not answer questions about {topic}.",
        )
    ), replace(spec, refuse=topic)


FEATURES = ("name", "wisdom", "mention", "wise mention", "end", "start", "wrap", "refuse")
_WEIGHTS = (1.3, 1.0, 0.9, 0.9, 1.0, 0.8, 0.7, 1.1)
_YODA_WEIGHTS = (0.9, 2.2, 1.4, 2.6, 0.6, 0.5, 0.5, 0.6)


def fact_text(rng: random.Random, facts: list[Told]) -> str:
    text = " ".join(fact.sentence.plain() for fact in facts)
    if rng.random() < 0.5:
        return text
    return (
        rng.choice(
            (
                "Facts: ",
                "You know this: ",
                "Remember: ",
                "Some facts. ",
                "Know that: ",
                "Here is what you know. ",
                "Use these facts: ",
            )
        )
        + text
    )


def _false_fact(rng: random.Random) -> Told:
    """Contradict the world, so that the prompt is read before the memory."""
    topic, _, rows = world_facts()[rng.choice(("color", "capital", "sound", "diet", "home", "job"))]
    fact = rng.choice(rows)
    value = rng.choice(fact.wrong) if fact.wrong else rng.choice(entities.FOODS)[0]
    sentence = replace(fact.sentence, complement=value)
    asks = tuple(ask for ask in fact.asks if not held_out(ask)) or fact.asks
    return Told(sentence, asks, "", topic)


def compose(
    rng: random.Random,
    *,
    exam: bool = False,
    style: str | None = None,
    features: tuple[str, ...] | None = None,
    num_facts: int | None = None,
) -> tuple[str, Spec]:
    """Write one system prompt; what is not given is drawn."""
    while True:
        text, spec = _compose(rng, exam, style, features, num_facts)
        if is_allowed(text):
            return text, spec


def _compose(
    rng: random.Random,
    exam: bool,
    style: str | None,
    features: tuple[str, ...] | None,
    num_facts: int | None,
) -> tuple[str, Spec]:
    if style is None:
        keys = list(STYLES)
        style = rng.choices([*keys, "plain"], [*(STYLES[key].weight for key in keys), 11.0])[0]
    if features is None:
        features = _draw_features(rng, style)
    if num_facts is None:
        num_facts = (
            rng.choice((1, 1, 2, 3, 4))
            if rng.random() < (0.38 if style == "plain" else 0.08)
            else 0
        )
        if style == "plain" and not num_facts and not features:
            num_facts = 1
    spec, clauses, rest = Spec(style=style), [], []
    if style != "plain":
        clauses, identity = style_clauses(rng, STYLES[style], exam=exam)
        spec = replace(spec, identity=identity)
    elif rng.random() < 0.3:
        clauses = [rng.choice(NEUTRAL[:8])]
    for kind in features:
        clause, spec = feature(rng, spec, kind, exam=exam)
        rest.append(clause)
    if num_facts:
        facts = [
            _false_fact(rng) if rng.random() < 0.1 and not exam else told(rng, exam=exam)
            for _ in range(num_facts)
        ]
        facts = list({fact.sentence.subject: fact for fact in facts}.values())
        spec = replace(spec, told=tuple(facts))
        rest.append(fact_text(rng, facts))
    rng.shuffle(rest)
    parts = clauses + rest if rng.random() < 0.85 else rest + clauses
    return " ".join(parts), spec


def _draw_features(rng: random.Random, style: str) -> tuple[str, ...]:
    count = rng.choices(
        (0, 1, 2, 3), (0.40, 0.38, 0.17, 0.05) if style != "plain" else (0.30, 0.50, 0.16, 0.04)
    )[0]
    picked: list[str] = []
    while len(picked) < count:
        kind = rng.choices(FEATURES, _YODA_WEIGHTS if style == "yoda" else _WEIGHTS)[0]
        clash = {
            "wise mention": ("wisdom", "mention"),
            "wisdom": ("wise mention",),
            "mention": ("wise mention",),
        }.get(kind, ())
        if kind not in picked and not set(clash) & set(picked):
            picked.append(kind)
    return tuple(picked)
