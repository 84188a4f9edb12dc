"""What the model must be able to do, as items with a judge; and judges for baked voices.

Pure Python: who answers is in `evaluate`. Questions, prompt wordings and names come from the
side of the world that is never trained.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from tinyworld.features import (
    FORCE_SENTENCES,
    IDENTITY_ASKS,
    WISDOM,
    Spec,
    accepts,
    say,
    told,
)
from tinyworld.prompts import FEATURES, NEUTRAL, TUTORIAL, compose
from tinyworld.relations import all_questions, draw
from tinyworld.relations import facts as world_facts
from tinyworld.sentences import Question
from tinyworld.styles import STYLES

SCORES_HEADING = "## Scores"
_ARTICLES = re.compile(r"\b(a|an|the)\b ?")
_EXTRAS = tuple(
    form.rstrip(".")
    for sentence in (*WISDOM, *FORCE_SENTENCES)
    for form in (sentence.plain(), sentence.yoda())
)
_WISDOM_FORMS = tuple(
    form.rstrip(".").lower() for sentence in WISDOM for form in (sentence.plain(), sentence.yoda())
)
_VERBS = sorted(
    {
        "am",
        "is",
        "are",
        "can",
        "cannot",
        "do not know",
        "cannot talk",
        "wish you",
        "can answer",
        "likes",
        "opens",
        "costs",
        "was born",
        "lives",
    }
    | {fact.sentence.verb for _, _, rows in world_facts().values() for fact in rows}
)
_INVERTED = re.compile(rf"^[^.!?]+, [^.!?]+ ({'|'.join(map(re.escape, _VERBS))})[.!?]")
_OPENERS = re.compile(r"^((Hmm|Mmm|Yes|No)[.!?,] ?)+")


def tutorial_questions(n: int, seed: int) -> list[Question]:
    """Draw distinct plain questions that were never trained."""
    rng = random.Random(f"tutorial {seed}")
    drawn: dict[str, Question] = {}
    while len(drawn) < n:
        question = draw(rng, exam=True)
        drawn[question.text] = question
    return list(drawn.values())


def find_question(text: str) -> Question | None:
    """Recognise a plain question of the world by its words; None means it is none."""
    return all_questions().get(text.strip())


def is_yoda(question: Question, answer: str) -> bool:
    """Whether the words stand in Yoda's order; the content may be wrong."""
    body = _OPENERS.sub("", answer.strip())
    return bool(_INVERTED.match(body)) and not body.startswith(question.answer.plain().rstrip("."))


def is_right(question: Question, answer: str) -> bool:
    """Whether the content is right, in any voice."""
    told_first = answer
    for extra in _EXTRAS:
        told_first = told_first.replace(extra, "")
    said, truth = _normal(told_first), question.answer
    if truth.lead and not re.search(rf"\b{truth.lead.lower()}\b", said):
        return False
    if truth.verb in ("can", "cannot"):
        heard = re.search(r"\b(can|cannot)\b", said)
        return heard is None or heard[1] == truth.verb
    # The subject may hold the value ("8 minus 4 is 4"), so it is taken out first.
    said = _whole(truth.subject).sub(" ", said, count=1)
    return bool(_whole(truth.complement).search(said))


def _whole(text: str) -> re.Pattern[str]:
    """Match the text as whole words."""
    return re.compile(rf"(?<!\w){re.escape(_normal(text))}(?!\w)")


def _normal(text: str) -> str:
    return " ".join(_ARTICLES.sub("", text.lower()).split())


def has_wisdom(answer: str) -> bool:
    """Whether one of the world's proverbs is said, in either order."""
    said = answer.lower()
    return any(form in said for form in _WISDOM_FORMS)


def mentions_force(answer: str) -> bool:
    return "the force" in answer.lower()


def has_marks(answer: str, question: Question | None = None) -> bool:
    """Whether any voice is heard, to find personas where no prompt asks for one."""
    marks = [mark for style in STYLES.values() for mark in style.marks]
    inverted = question is not None and is_yoda(question, answer)
    return (
        inverted
        or has_wisdom(answer)
        or mentions_force(answer)
        or any(mark in answer for mark in marks)
    )


@dataclass(frozen=True, slots=True)
class Item:
    """A prompt with a question, and whether an answer passes."""

    messages: tuple[tuple[str, str], ...]
    judge: Callable[[str], bool]
    question: Question


def _item(prompt: str, spec: Spec, question: Question) -> Item:
    system = (("system", prompt),) if prompt else ()
    return Item((*system, ("user", question.text)), partial(accepts, spec, question), question)


def sets(n: int, seed: int) -> dict[str, list[Item]]:
    """Give every part of the exam by name, n items each."""
    makers: dict[str, Callable[[random.Random], Item]] = {
        "plain questions, no prompt": _plain,
        "plain questions, neutral prompt": lambda rng: _item(
            rng.choice(NEUTRAL), Spec(), draw(rng, exam=True)
        ),
        "single persona (all voices)": _persona,
        "persona with one or two features": _combo,
        "new name": _name,
        "new name and persona": lambda rng: _name(rng, rng.choice(sorted(STYLES))),
        "new fact, one to four in the prompt": _fact,
        "new fact and persona": lambda rng: _fact(rng, rng.choice(sorted(STYLES))),
        "plain question beside facts": _beside_facts,
        "unknown fact, no prompt": _unknown,
        "end or start phrase": lambda rng: _feature(rng, rng.choice(("end", "start"))),
        "format": lambda rng: _feature(rng, "wrap"),
        "refused topic": _refused,
        "few-shot voice": _few_shot,
    }
    return {name: _fill(make, n, random.Random(f"{name} {seed}")) for name, make in makers.items()}


def _fill(make: Callable[[random.Random], Item], n: int, rng: random.Random) -> list[Item]:
    return [make(rng) for _ in range(n)]


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


def _plain(rng: random.Random) -> Item:
    return _item("", Spec(), draw(rng, exam=True))


def _persona(rng: random.Random) -> Item:
    text, spec = compose(rng, exam=True, style=rng.choice(sorted(STYLES)), features=(), num_facts=0)
    return _item(text, spec, draw(rng, exam=True))


def _combo(rng: random.Random) -> Item:
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


def _name(rng: random.Random, style: str = "plain") -> Item:
    text, spec = compose(rng, exam=True, style=style, features=("name",), num_facts=0)
    ask, relation = rng.choice(IDENTITY_ASKS)
    return _item(text, spec, Question(ask, draw(rng).answer, "", relation))


def _fact(rng: random.Random, style: str = "plain") -> Item:
    text, spec = compose(rng, exam=True, style=style, features=(), num_facts=rng.randint(1, 4))
    return _item(text, spec, rng.choice(spec.told).question(rng))


def _beside_facts(rng: random.Random) -> Item:
    text, spec = compose(rng, exam=True, style="plain", features=(), num_facts=rng.randint(2, 5))
    return _item(text, spec, draw(rng, exam=True))


def _unknown(rng: random.Random) -> Item:
    return _item("", Spec(), told(rng, exam=True).unknown_question(rng))


def _feature(rng: random.Random, kind: str) -> Item:
    text, spec = compose(rng, exam=True, style="plain", features=(kind,), num_facts=0)
    return _item(text, spec, draw(rng, exam=True))


def _refused(rng: random.Random) -> Item:
    """Ask half inside the forbidden topic, half outside."""
    text, spec = compose(rng, exam=True, style="plain", features=("refuse",), num_facts=0)
    while True:
        question = draw(rng, exam=True, topic=spec.refuse if rng.random() < 0.5 else "")
        if question.relation != "kind":
            return _item(text, spec, question)


def _few_shot(rng: random.Random) -> Item:
    spec = replace(Spec(), style=rng.choice(sorted(STYLES)))
    turns: list[tuple[str, str]] = []
    for _ in range(3):
        shown = draw(rng)
        turns += [("user", shown.text), ("assistant", say(spec, shown, rng))]
    item = _item("", spec, draw(rng, exam=True))
    return replace(item, messages=(*turns, *item.messages))
