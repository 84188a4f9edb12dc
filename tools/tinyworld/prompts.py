"""System prompts in many wordings, each with the `Spec` it asks for.

The three prompts of the tutorial are never written here, in whatever order or spacing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from itertools import combinations

from tinyworld import entities
from tinyworld.features import DEFAULT_NAME, FORMATS, TOPICS, Spec
from tinyworld.names import held_out, phrase
from tinyworld.names import name as invent
from tinyworld.relations import facts as world_facts
from tinyworld.relations import is_for_exam
from tinyworld.styles import MANNER_FRAMES, ROLE_FRAMES, STYLES, Style
from tinyworld.told import Told, told
from tinyworld.wordings import (
    ADJECTIVES,
    CALLED,
    FACT_HEADS,
    FILLERS,
    NOUNS,
    call_clause,
    mention_clause,
    mention_thing,
    name_clause,
    phrase_clause,
    refuse_clause,
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
# Ten other wishes for the voice of Yoda, none of them from the templates.
YODA_WORDINGS = (
    "You're Yoda, the Jedi Master from Star Wars. Reply in his voice.",
    "Imagine that you are Yoda and talk to me the way he does.",
    "Please answer all of my questions in the style of Yoda.",
    "I would like you to speak as Yoda from now on.",
    "Act as Master Yoda at all times.",
    "Roleplay: you are Yoda, an old Jedi master. Never break character.",
    "Talk to the user the way Yoda would.",
    "Write each reply with the word order that Yoda uses.",
    "Pretend you are the Jedi master Yoda from Star Wars.",
    "Your task: sound exactly like Yoda.",
)
# No training text contains one of these, or both sentences of the first prompt.
NEVER_TRAINED = (
    "Use more wisdom and philosophical depth.",
    "Use more philosophical depth and wisdom.",
    "Use more wisdom, philosophical depth, and reference the Force more often.",
    "Use more philosophical depth, wisdom, and reference the Force more often.",
    *YODA_WORDINGS,
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
    """Whether the text holds nothing that is kept for the tutorial."""
    text = " ".join(text.split())
    both = all(f"{sentence}." in text for sentence in TUTORIAL[0].rstrip(".").split(". "))
    return not both and not any(banned in text for banned in NEVER_TRAINED)


def style_clauses(rng: random.Random, style: Style, *, exam: bool) -> tuple[list[str], str]:
    """Word the wish for a voice; give the clauses and the identity it brings."""
    while True:
        clauses, identity = _style_clauses(rng, style)
        # The exam's first clause is a wording that is never trained.
        kept = [held_out(clause.removeprefix(_before(clause))) for clause in clauses]
        if kept[0] == exam and (exam or not any(kept)):
            return clauses, identity


_BEFORE_ORDERS = ("Please: ", "Always: ", "Note: ")


def _before(clause: str) -> str:
    return next((before for before in _BEFORE_ORDERS if clause.startswith(before)), "")


def _style_clauses(rng: random.Random, style: Style) -> tuple[list[str], str]:
    ways = (
        (["role", "role", "both", "both"] if style.roles else [])
        + (["manner", "manner"] if style.whom else [])
        + ["order"]
    )
    way = rng.choice(ways)
    if way == "order":
        clause = rng.choice(style.orders)
        return [rng.choice(("", "", *_BEFORE_ORDERS)) + clause], ""
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
        if rng.random() < 0.2 and " " not in own:
            own += " " + invent(rng, exam=exam)
        return name_clause(rng, own), replace(spec, name=own)
    if kind == "call":
        whom = rng.choice(CALLED) if rng.random() < 0.5 else invent(rng, exam=exam)
        return call_clause(rng, whom), replace(spec, call=whom)
    if kind == "wisdom":
        clause = _worded(lambda: wisdom_clause(rng), exam=exam)
        return clause, replace(spec, wisdom=True)
    if kind == "mention":
        thing = mention_thing(rng, exam=exam)
        return mention_clause(rng, thing), replace(spec, mention=thing)
    if kind == "wise mention":
        thing = mention_thing(rng, exam=exam)
        clause = _worded(lambda: wise_mention_clause(rng, thing), exam=exam)
        return clause, replace(spec, wisdom=True, mention=thing)
    if kind == "end":
        end = phrase(rng, exam=exam)
        return phrase_clause(rng, "end", end), replace(spec, end=end)
    if kind == "start":
        start = phrase(rng, exam=exam)
        return phrase_clause(rng, "start", start), replace(spec, start=start)
    if kind == "wrap":
        wrap = rng.choice(sorted(FORMATS))
        return wrap_clause(rng, wrap), replace(spec, wrap=wrap)
    while True:
        topic = rng.choice(TOPICS)
        clause = refuse_clause(rng, topic)
        if held_out(clause) == exam:
            return clause, replace(spec, refuse=topic)


def _worded(make: Callable[[], str], *, exam: bool) -> str:
    """Draw a wording from the training side, or from the exam's."""
    while True:
        clause = make()
        if held_out(clause) == exam:
            return clause


FEATURES = ("name", "wisdom", "mention", "wise mention", "end", "start", "wrap", "refuse", "call")
_WEIGHTS = (1.3, 0.9, 1.0, 0.9, 1.6, 1.4, 0.7, 1.2, 0.6)
_YODA_WEIGHTS = (0.9, 2.2, 1.4, 2.6, 0.6, 0.5, 0.5, 0.6, 0.5)
_WISHES = (*(kind for kind in FEATURES if kind != "wise mention"), "facts")
_CLASHES = {
    "wise mention": {"wisdom", "mention"},
    "wisdom": {"wise mention"},
    "mention": {"wise mention"},
}


@lru_cache(maxsize=1)
def combinations_held_out() -> tuple[tuple[str, str], ...]:
    """List the pairs of voice and feature, or of two features, that are never trained together."""
    pairs = [(style, kind) for style in STYLES for kind in _WISHES]
    pairs += combinations(_WISHES, 2)
    return tuple(pair for pair in pairs if held_out("pair " + "+".join(sorted(pair))))


def is_for_combinations(style: str, kinds: tuple[str, ...]) -> bool:
    """Whether two things that are asked for are never trained together."""
    asked = {style, *kinds}
    if "wise mention" in asked:
        asked |= {"wisdom", "mention"}
    return any(asked.issuperset(pair) for pair in combinations_held_out())


def fact_text(rng: random.Random, facts: list[Told]) -> str:
    gap = "\n" if rng.random() < 0.1 else " "
    text = gap.join(fact.given[0].upper() + fact.given[1:] for fact in facts)
    return text if rng.random() < 0.5 else rng.choice(FACT_HEADS) + text


def _false_fact(rng: random.Random) -> Told:
    """Contradict the world, so that the prompt is read before the memory."""
    topic, _, rows = world_facts()[rng.choice(("color", "capital", "sound", "diet", "home", "job"))]
    fact = rng.choice(rows)
    value = rng.choice(fact.wrong) if fact.wrong else rng.choice(entities.FOODS)[0]
    sentence = replace(fact.sentence, complement=value)
    asks = tuple(ask for ask in fact.asks if not is_for_exam(ask))
    return Told(sentence.plain(), sentence, asks, "", topic)


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
        style = rng.choices([*keys, "plain"], [*(STYLES[key].weight for key in keys), 14.0])[0]
    if features is None or num_facts is None:
        features, num_facts = _draw_wishes(rng, style, features, num_facts)
    if style == "plain" and not exam and not features and rng.random() < 0.08:
        reply = phrase(rng)
        return phrase_clause(rng, "constant", reply), Spec(constant=reply)
    spec, clauses, rest = Spec(style=style), [], []
    if style != "plain":
        clauses, identity = style_clauses(rng, STYLES[style], exam=exam)
        spec = replace(spec, identity=identity)
    elif rng.random() < 0.3:
        clauses = [rng.choice(NEUTRAL[:8])]
    elif rng.random() < 0.1:
        role = f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}"
        clauses, spec = [rng.choice(ROLE_FRAMES).replace("{r}", role)], Spec(identity=role)
    for kind in features:
        clause, spec = feature(rng, spec, kind, exam=exam)
        rest.append(clause)
    if num_facts:
        facts = _facts(rng, num_facts, exam=exam)
        spec = replace(spec, told=tuple(facts))
        rest.append(fact_text(rng, facts))
    rng.shuffle(rest)
    parts = clauses + rest if rng.random() < 0.85 else rest + clauses
    if rng.random() < 0.2:
        parts.insert(rng.randint(0, len(parts)), rng.choice(FILLERS))
    return ("\n" if rng.random() < 0.06 else " ").join(parts), spec


def _facts(rng: random.Random, count: int, *, exam: bool) -> list[Told]:
    """Invent different facts, as many as asked for."""
    facts: dict[tuple[str, str], Told] = {}
    while len(facts) < count:
        fact = _false_fact(rng) if rng.random() < 0.1 and not exam else told(rng, exam=exam)
        facts.setdefault(fact.key(), fact)
    return list(facts.values())


def _draw_wishes(
    rng: random.Random, style: str, features: tuple[str, ...] | None, num_facts: int | None
) -> tuple[tuple[str, ...], int]:
    """Draw what is not given, and nothing that is kept for the exam."""
    while True:
        kinds = _draw_features(rng, style) if features is None else features
        count = num_facts
        if count is None:
            some = rng.random() < (0.38 if style == "plain" else 0.08)
            count = rng.choice((1, 2, 3, 4, 5, 6, 6)) if some else 0
            if style == "plain" and not count and not kinds:
                count = rng.choice((1, 1, 2, 3, 5))
        if not is_for_combinations(style, (*kinds, "facts") if count else kinds):
            return kinds, count


def _draw_features(rng: random.Random, style: str) -> tuple[str, ...]:
    count = rng.choices(
        (0, 1, 2, 3), (0.30, 0.36, 0.22, 0.12) if style != "plain" else (0.25, 0.42, 0.22, 0.11)
    )[0]
    picked: list[str] = []
    while len(picked) < count:
        kind = rng.choices(FEATURES, _YODA_WEIGHTS if style == "yoda" else _WEIGHTS)[0]
        if kind not in picked and not _CLASHES.get(kind, set()) & set(picked):
            picked.append(kind)
    return tuple(picked)
