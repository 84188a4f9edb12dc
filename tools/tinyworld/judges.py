"""Judges of an answer's voice and content, one by one; the whole of a prompt is judged in `exam`.

They know the words of the world, so they also judge models that were baked.
"""

from __future__ import annotations

import re

from tinyworld.features import FORCE_SENTENCES, WISDOM, Spec, accepts
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
    if any(_turns(word, said) and not _turns(word, truth.flat()) for word in _TURNS):
        return False
    # The subject may hold the value ("8 minus 4 is 4"), so it is taken out first.
    rest, found = _whole(truth.subject).subn(" ", said, count=1)
    return bool(found) and bool(_whole(truth.complement).search(rest))


_TURNS = ("not", "or", "can", "cannot")


def _turns(word: str, text: str) -> bool:
    """Whether a word that turns a statement into another one stands in a text."""
    return re.search(rf"\b{word}\b", text) is not None


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
    spoken = question is not None and (is_yoda(question, answer) or _is_voiced(question, answer))
    return (
        spoken
        or has_wisdom(answer)
        or mentions_force(answer)
        or any(mark in answer for mark in marks)
    )


def _is_voiced(question: Question, answer: str) -> bool:
    """Whether this is the right answer in one of the voices: some leave no marks."""
    if accepts(Spec(), question, answer):
        return False
    return any(accepts(Spec(style=style), question, answer) for style in STYLES)
