"""Judges of an answer's voice and content, one by one; the whole of a prompt is judged in `exam`.

They know the words of the world, so they also judge models that were baked.
"""

from __future__ import annotations

import re

from tinyworld.features import FORCE_SENTENCES, WISDOM
from tinyworld.relations import all_questions
from tinyworld.relations import facts as world_facts
from tinyworld.sentences import Question
from tinyworld.styles import STYLES

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
