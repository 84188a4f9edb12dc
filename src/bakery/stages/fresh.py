"""Questions about what a prompt says, by rule, in words that were asked nowhere.

A fact is learnt for the words that it was asked in. Whether it is known in others, only others
tell. `comparing` keeps those that the prompted model answers with something of the statement.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from itertools import zip_longest

from bakery.engine.models.models import BaseModel
from bakery.generators import asking
from bakery.records import Prompt
from bakery.stages.comparing import MOST_TOKENS, Candidate, Question
from bakery.statements import EXAMPLE, statements

TRIED = 12
"""Questions that the prompted model is asked, to find those that it has to be asked."""


def candidates(
    of: str,
    sides: tuple[Prompt, Prompt],
    asked: Collection[str],
    base: BaseModel,
    *,
    learnt: bool = False,
) -> list[Candidate]:
    """Return questions about a prompt that may be asked; `of` begins their keys.

    `sides` are the teacher's prompt and the student's, `asked` is what is asked already. Every
    second question may be `learnt` (`stages.until`): the verdict asks the others.
    """
    teacher, student = sides
    known = {question.strip().casefold() for question in asked}
    made = _by_rule(teacher, known, int(learnt))
    room, kind = base.context - MOST_TOKENS, "learnt" if learnt else "fresh"
    found = []
    for number, (text, statement) in enumerate(made.items()):
        turns = ({"role": "user", "content": text},)
        if len(base.chat.prefix_ids(teacher, turns)) <= room:
            key = f"{of}/{kind}-{number}"
            one = Question(key, turns, teacher, student, is_held_out=True, is_fresh=True)
            found.append(Candidate(one, statement))
    return found


def _by_rule(prompt: Prompt, asked: Collection[str], first: int) -> dict[str, str]:
    """Return every second question about each statement in turn, and the statement it is about."""
    of_each = []
    for one in statements(prompt):
        if not one.text.startswith(EXAMPLE):
            drawn = random.Random(one.text)
            made = asking.questions(one.text, prompt, drawn, of_rules_only=True)
            new = [text for text in made if text.casefold() not in asked]
            of_each.append([(text, one.text) for text in new[first::2]])
    in_turn = [one for row in zip_longest(*of_each) for one in row if one is not None]
    return dict(in_turn[:TRIED])
