"""One side of a bake answers the questions of tests, turn by turn where they have several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bakery.evals.checks import Answer
from bakery.evals.sides import Said, Side, Sides
from bakery.records import Message
from bakery.schema.tests import MAX_TOKENS, Case

CLOSED = "</think>"
"""What ends a thought in the templates of most models that think."""

LIMIT = "max_tokens in tests.yml"


def answers(
    sides: Sides, side: Side, cases: Sequence[Case], *, max_tokens: int | None = None
) -> list[Answer]:
    """Return what a side says to the last question of each test, greedily.

    It has said itself what the test leaves open before. `max_tokens` None: `MAX_TOKENS`, or a
    quarter of the context.
    """
    usual = max_tokens or min(MAX_TOKENS, sides.local.base.context // 4)
    own: list[list[Said]] = [[] for _ in cases]
    while waiting := [at for at, case in enumerate(cases) if len(own[at]) < _open_turns(case)]:
        for limit in sorted({_limit(cases[at], len(own[at]), usual) for at in waiting}):
            now = [at for at in waiting if _limit(cases[at], len(own[at]), usual) == limit]
            asked = [_so_far(cases[at], own[at]) for at in now]
            said = sides.say(side, asked, limit, limit=LIMIT)
            waiting = [at for at in waiting if at not in now]
            for at, one in zip(now, said, strict=True):
                own[at].append(one)
    return [_answer(*said) for said in own]


def _answer(*turns: Said) -> Answer:
    *earlier, said = turns
    before = tuple(spoken(one.text) for one in earlier)
    return Answer(spoken(said.text), len(said.ids) - (not said.is_cut), said.is_cut, before)


def spoken(text: str) -> str:
    """Return an answer without the thought in front of it: checks are not about that."""
    _, closed, answer = text.rpartition(CLOSED)
    return answer.lstrip("\n") if closed else text


def _open_turns(case: Case) -> int:
    """Return how often the model speaks in a test: in the turns left open, and at the end."""
    return 1 + sum(turn.content is None for turn in case.turns)


def _limit(case: Case, said: int, usual: int) -> int:
    """Return at how many tokens the next answer is cut.

    One more than a test allows, so that an answer of just so many has room for its end.
    """
    is_last = said == _open_turns(case) - 1
    return case.max_tokens + 1 if is_last and case.max_tokens is not None else usual


def _so_far(case: Case, own: Iterable[Said]) -> list[Message]:
    """Return a conversation up to the model's next turn."""
    said, messages = iter(own), list[Message]()
    for turn in case.turns:
        if turn.content is not None:
            messages.append({"role": turn.role, "content": turn.content})
        elif (one := next(said, None)) is not None:
            messages.append({"role": turn.role, "content": one.text})
        else:
            break
    return messages
