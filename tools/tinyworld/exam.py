"""What the model must be able to do, as items with a judge, and the aims it is held to.

Pure Python: who answers is in `evaluate`. Questions, combinations, names, phrases, labels and the
wordings of voices come from the side of the world that is never trained.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tinyworld.chats import SPOKEN, ask, shown_as
from tinyworld.features import IDENTITY_ASKS, Spec, accepts, say
from tinyworld.names import outside_name, outside_phrase
from tinyworld.outsiders import outside_request, typed
from tinyworld.patterns import CATEGORY_PAIRS, Pattern, labels, pattern
from tinyworld.prompts import (
    FEATURES,
    NEUTRAL,
    TUTORIAL,
    YODA_WORDINGS,
    combinations_held_out,
    compose,
)
from tinyworld.relations import draw
from tinyworld.sentences import Question, Sentence
from tinyworld.styles import STYLES
from tinyworld.told import OTHERS, told
from tinyworld.wordings import name_clause, phrase_clause

Turns = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt with a question, and whether an answer passes."""

    messages: Turns
    judge: Callable[[str], bool]
    question: Question


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A prompt with several questions, asked one after the other."""

    messages: Turns
    asked: tuple[Question, ...]
    judge: Callable[[Question, str], bool]


PLAIN = "plain questions, no prompt"
# The share of right answers each part has to reach (`LEAKAGE`: at most), in percent.
LEAKAGE = "a persona without a prompt (leakage)"
PAIRS = "few-shot labels, the worst of 28 pairs of categories"
FOUR_TURNS = "four turns, all four obey"
AIMS = {
    PLAIN: 98,
    LEAKAGE: 1,
    "single persona (all voices)": 97,
    "combination never trained": 92,
    "new name": 98,
    "new fact, one in the prompt": 95,
    "new fact, three in the prompt": 95,
    "new fact, six in the prompt": 95,
    "other questions beside five facts": 95,
    "few-shot patterns": 92,
    PAIRS: 80,
    "phrase from outside the world": 85,
    "name from outside the world": 85,
    "refused topic: refuses": 88,
    "unknown fact: does not know": 98,
    FOUR_TURNS: 90,
    "tutorial a, T=0: all that is asked for": 95,
    "tutorial b, T=0: all that is asked for": 95,
    "tutorial c, T=0: all that is asked for": 95,
    "ten other wordings for Yoda": 95,
}


def sets(n: int, seed: int) -> dict[str, list[Item]]:
    """Give every part of the exam by name, n items each."""
    makers: dict[str, Callable[[random.Random], Item]] = {
        PLAIN: lambda rng: _item("", Spec(), draw(rng, exam=True)),
        "plain questions, neutral prompt": lambda rng: _item(
            rng.choice(NEUTRAL), Spec(), draw(rng, exam=True)
        ),
        "single persona (all voices)": _persona,
        "persona with one or two features": _features,
        "combination never trained": _combination,
        "new name": _name,
        "new name and persona": lambda rng: _name(rng, rng.choice(sorted(STYLES))),
        "new fact, one in the prompt": partial(_fact, count=1),
        "new fact, three in the prompt": partial(_fact, count=3),
        "new fact, six in the prompt": partial(_fact, count=6),
        "new fact and persona": lambda rng: _fact(
            rng, count=rng.randint(1, 4), style=rng.choice(sorted(STYLES))
        ),
        "other questions beside five facts": _beside_facts,
        "unknown fact: does not know": lambda rng: _item(
            "", Spec(), told(rng, exam=True, rows=OTHERS).unknown_question(rng)
        ),
        "request from outside the world: does not know": lambda rng: _item(
            "", Spec(), outside_request(rng, exam=True)
        ),
        "plain questions, typed in a hurry": _typed,
        "end or start phrase": lambda rng: _feature(rng, rng.choice(("end", "start"))),
        "phrase from outside the world": _outside_phrase,
        "name from outside the world": _outside_name,
        "format": lambda rng: _feature(rng, "wrap"),
        "refused topic: refuses": partial(_refused, inside=True),
        "refused topic: answers the rest": partial(_refused, inside=False),
        "few-shot voice": _few_shot_voice,
        "few-shot wrapping": lambda rng: _few_shot(rng, pattern(rng, "wrapping", exam=True)),
        "few-shot function of a word": lambda rng: _few_shot(
            rng, pattern(rng, "function", exam=True)
        ),
        "ten other wordings for Yoda": lambda rng: _item(
            rng.choice(YODA_WORDINGS), Spec(style="yoda", identity="Yoda"), draw(rng, exam=True)
        ),
    }
    return {name: _fill(make, n, random.Random(f"{name} {seed}")) for name, make in makers.items()}


def _fill(make: Callable[[random.Random], Item], n: int, rng: random.Random) -> list[Item]:
    return [make(rng) for _ in range(n)]


def pair_sets(n: int, seed: int) -> dict[str, list[Item]]:
    """Give n label items for each pair of categories."""
    made = {}
    for one, two in CATEGORY_PAIRS:
        rng = random.Random(f"labels {one} {two} {seed}")
        made[f"{one}/{two}"] = [
            _few_shot(rng, labels(rng, [one, two], exam=True)) for _ in range(n)
        ]
    return made


def dialogues(n: int, seed: int) -> list[Dialogue]:
    """Give prompts with four questions each: a voice, a feature or both, and facts."""
    rng = random.Random(f"dialogues {seed}")
    made = []
    for _ in range(n):
        text, spec = compose(rng, exam=True, **_wishes(rng))
        asked = tuple(ask(rng, spec, exam=True) for _ in range(4))
        made.append(Dialogue((("system", text),), asked, partial(accepts, spec)))
    return made


def _wishes(rng: random.Random) -> dict:
    """Draw what one prompt of a dialogue asks for."""
    kind = rng.choice(("voice", "voice", "feature", "both", "facts"))
    style = rng.choice(sorted(STYLES)) if kind in ("voice", "both") else "plain"
    features = (rng.choice(FEATURES),) if kind in ("feature", "both") else ()
    return {"style": style, "features": features, "num_facts": 3 if kind == "facts" else 0}


def tutorial_questions(n: int, seed: int) -> list[Question]:
    """Draw distinct plain questions that were never trained."""
    rng = random.Random(f"tutorial {seed}")
    drawn: dict[str, Question] = {}
    while len(drawn) < n:
        question = draw(rng, exam=True)
        drawn[question.text] = question
    return list(drawn.values())


def tutorial_sets(n: int, seed: int) -> list[tuple[str, list[Item]]]:
    """Put the tutorial's prompts before questions; the judge wants all that is asked for."""
    made = []
    for index, prompt in enumerate(TUTORIAL):
        spec = Spec(
            style="yoda",
            identity="Yoda",
            wisdom=index > 0,
            mention="the Force" if index > 1 else "",
        )
        items = [_item(prompt, spec, question) for question in tutorial_questions(n, seed)]
        made.append((prompt, items))
    return made


def _item(prompt: str, spec: Spec, question: Question) -> Item:
    system = (("system", prompt),) if prompt else ()
    return Item((*system, ("user", question.text)), partial(accepts, spec, question), question)


def _typed(rng: random.Random) -> Item:
    item = _item("", Spec(), draw(rng, exam=True))
    return replace(item, messages=(("user", typed(rng, item.question.text)),))


def _persona(rng: random.Random) -> Item:
    text, spec = compose(rng, exam=True, style=rng.choice(sorted(STYLES)), features=(), num_facts=0)
    return _item(text, spec, draw(rng, exam=True))


def _features(rng: random.Random) -> Item:
    picked = tuple(
        rng.sample(
            [kind for kind in FEATURES if kind not in ("refuse", "wise mention")],
            rng.choice((1, 2)),
        )
    )
    text, spec = compose(
        rng, exam=True, style=rng.choice(sorted(STYLES)), features=picked, num_facts=0
    )
    return _item(text, spec, draw(rng, exam=True))


def _combination(rng: random.Random) -> Item:
    pair = rng.choice(combinations_held_out())
    text, spec = compose(
        rng,
        exam=True,
        style=pair[0] if pair[0] in STYLES else "plain",
        features=tuple(kind for kind in pair if kind in FEATURES),
        num_facts=2 if "facts" in pair else 0,
    )
    return _item(text, spec, ask(rng, spec, exam=True))


def _name(rng: random.Random, style: str = "plain") -> Item:
    text, spec = compose(rng, exam=True, style=style, features=("name",), num_facts=0)
    return _item(text, spec, _who(rng))


def _who(rng: random.Random) -> Question:
    asked, relation = rng.choice(IDENTITY_ASKS)
    return Question(asked, Sentence("I", "am", ""), "", relation)


def _fact(rng: random.Random, count: int, style: str = "plain") -> Item:
    text, spec = compose(rng, exam=True, style=style, features=(), num_facts=count)
    return _item(text, spec, rng.choice(spec.told).question(rng))


def _beside_facts(rng: random.Random) -> Item:
    text, spec = compose(rng, exam=True, style="plain", features=(), num_facts=5)
    return _item(text, spec, draw(rng, exam=True))


def _feature(rng: random.Random, kind: str) -> Item:
    text, spec = compose(rng, exam=True, style="plain", features=(kind,), num_facts=0)
    return _item(text, spec, draw(rng, exam=True))


def _outside_phrase(rng: random.Random) -> Item:
    said = outside_phrase(rng)
    if rng.random() < 0.5:
        return _item(phrase_clause(rng, "end", said), Spec(end=said), draw(rng, exam=True))
    return _item(phrase_clause(rng, "start", said), Spec(start=said), draw(rng, exam=True))


def _outside_name(rng: random.Random) -> Item:
    own = outside_name(rng)
    return _item(name_clause(rng, own), Spec(name=own), _who(rng))


def _refused(rng: random.Random, *, inside: bool) -> Item:
    """Ask inside the forbidden topic or outside it."""
    text, spec = compose(rng, exam=True, style="plain", features=("refuse",), num_facts=0)
    while True:
        question = draw(rng, exam=True, topic=spec.refuse if inside else "")
        if question.relation != "kind" and (question.topic == spec.refuse) == inside:
            return _item(text, spec, question)


def _few_shot_voice(rng: random.Random) -> Item:
    spec = replace(Spec(), style=rng.choice(sorted(STYLES)))
    shown = [draw(rng) for _ in range(3)]
    turns = [
        turn for one in shown for turn in (("user", one.text), ("assistant", say(spec, one, rng)))
    ]
    item = _item("", spec, draw(rng, exam=True))
    return replace(item, messages=(*turns, *item.messages))


def _few_shot(rng: random.Random, drawn: Pattern) -> Item:
    (asked, expected), *_ = drawn.asked
    turns = [(SPOKEN.get(role, role), text) for role, text in shown_as(rng, drawn.shown)]
    question = Question(asked, Sentence("", "", expected))
    return Item((*turns, ("user", asked)), lambda answer: answer.strip() == expected, question)
