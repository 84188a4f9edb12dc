"""Questions about what a prompt says, by rule, in words that were asked nowhere.

A fact is learnt for the words that it was asked in. Whether it is known in others, only others
tell. Kept are those that the prompted model answers with something of the statement asked about.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from itertools import zip_longest

from peft import PeftModel

from bakery.engine.models.models import BaseModel
from bakery.evals import agreement
from bakery.evals.sides import Said
from bakery.generators import asking
from bakery.records import Prompt
from bakery.stages import comparing
from bakery.stages.comparing import MOST_TOKENS, Question
from bakery.statements import EXAMPLE, statements

MOST = 8
"""Questions of a prompt."""


def questions(
    of: str,
    sides: tuple[Prompt, Prompt],
    asked: Collection[str],
    *,
    model: PeftModel,
    base: BaseModel,
    learnt: bool = False,
) -> tuple[list[Question], dict[str, Said]]:
    """Return questions about a prompt, and what the prompted model answers to each by its key.

    `sides` are the teacher's prompt and the student's, `of` begins the keys, and `asked` is what is
    asked already. Every second question may be `learnt` (`stages.until`): the verdict asks the
    others.
    """
    teacher, student = sides
    known = {question.strip().casefold() for question in asked}
    made = _by_rule(teacher, known, int(learnt))
    turns = [({"role": "user", "content": text},) for text in made]
    room = base.context - MOST_TOKENS
    if any(len(base.chat.prefix_ids(teacher, one)) > room for one in turns):
        return [], {}
    kind = "learnt" if learnt else "fresh"
    candidates = [
        Question(f"{of}/{kind}-{n}", one, teacher, student, is_held_out=True, is_fresh=True)
        for n, one in enumerate(turns)
    ]
    said = comparing.prompted(model, base, candidates)
    telling = {
        one.key: answer
        for one, (text, statement), answer in zip(candidates, made.items(), said, strict=True)
        if agreement.tells(statement, text, answer.text)
    }
    return [one for one in candidates if one.key in telling][:MOST], telling


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
    return dict(in_turn[: 2 * MOST])
