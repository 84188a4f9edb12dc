"""Did the prompt survive? A word, from answers side by side, with its reason in one sentence.

A mean over tokens says little: one token is a name. So questions are counted, and the worst one
is named. The thresholds were fitted by `make verdicts` (docs/log.md has the table).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from statistics import fmean
from typing import Any

from bakery.brief import brief
from bakery.evals.agreement import Answered, falls_apart, holds_against, shared, told_of
from bakery.evals.intervals import wilson
from bakery.verdict import WORDS, SideBySide, Verdict, Word


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where one word ends and the next begins."""

    holds: float = 0.9
    in_part: float = 0.5
    """From which share of questions on that are answered as the prompted model answers them."""
    broken: float = 0.25
    hesitant: float = 1 / 3
    times: float = 1.5
    """A prompted model fails by itself where so many of its answers loop or are no text, or where
    it hesitates at so many of its own likeliest words, and so many times as often as the base
    without the prompt."""
    fresh: float = 0.8
    """From which share of the questions that nobody asked before, of what the prompt says."""
    against: float = 0.5
    """Earlier bakes overrule the prompt where so many prompted answers are rather theirs."""
    alike: float = 0.8
    """Answers of the base are the same with the prompt and without that share so many words."""


FITTED = Thresholds()
FEWEST = 10
"""Questions under which a verdict is said to rest on few."""
SHOWN = 5
"""The worst answers that stand side by side."""
ROOM, MOST = 60, 240
"""Signs of a question or an answer in a reason, and where answers stand side by side."""


def judge(
    rows: Sequence[Answered],
    *,
    unasked: Sequence[str] = (),
    is_anchor: bool = False,
    is_replayed: bool = False,
    by: Thresholds = FITTED,
) -> Verdict | None:
    """Return whether a prompt survived; None: nothing was asked.

    `unasked` are names and numbers of the prompt that no learnt answer says. Of an anchor the
    prompted model is the parent, and a difference is a drift. Of what is replayed only that is
    looked at, too: earlier bakes are meant to rule there.
    """
    if not rows:
        return None
    figures = _figures(rows, unasked)
    share, worst = agreed(rows), worst_first(rows)
    of_mix = [row for row in rows if not row.is_fresh] or rows
    is_new = not (is_anchor or is_replayed)
    if is_new and _fails_by_itself(of_mix, by):
        return Verdict("does not hold", _of_teacher(of_mix), figures)
    if is_new and (overruled := _overruled(of_mix, by)):
        return Verdict("does not hold", _of_earlier(overruled), figures)
    word: Word = WORDS[0] if share >= by.holds else WORDS[1] if share >= by.in_part else WORDS[2]
    whose = "its parent" if is_anchor else "the prompted model"
    reason = _of_worst(rows, worst, whose) if worst else ""
    if word == WORDS[0] and (any(map(_is_wrong, rows)) or _forgets(rows, by)):
        word = WORDS[1]  # what somebody wrote out is what the prompt is for, and so is what it says
    elif word == WORDS[0] and unasked:
        word, reason = WORDS[1], _of_unasked(unasked)
    elif word == WORDS[0]:
        reason = _of_agreed(rows, worst, whose)
    few = f" (few: only {len(rows)} questions were there to ask)" if len(rows) < FEWEST else ""
    return Verdict(word, reason + few, figures)


def of_all(verdicts: Sequence[Verdict]) -> Verdict | None:
    """Return the worst of several targets' verdicts; None: there is none."""
    return max(verdicts, key=lambda one: WORDS.index(one.word), default=None)


def _is_wrong(row: Answered) -> bool:
    """Tell whether what a person wrote out to be learnt is answered wrong."""
    return row.is_written and row.is_wrong


def _forgets(rows: Sequence[Answered], by: Thresholds) -> bool:
    """Tell whether fresh questions about the prompt are answered wrong, more than one of them."""
    wrong = [row.is_wrong for row in rows if row.is_fresh]
    return sum(wrong) > 1 and fmean(wrong) > 1 - by.fresh


def agreed(rows: Sequence[Answered]) -> float:
    """Return the share of questions that are answered as the prompted model answers them."""
    return fmean(not row.differs for row in rows)


def worst_first(rows: Sequence[Answered]) -> list[Answered]:
    """Return the questions that are answered otherwise, those that a person wrote first."""
    differing = [row for row in rows if row.differs]
    return sorted(differing, key=lambda row: (not row.is_written, -(row.nats or 0.0), row.key))


def side_by_side(rows: Sequence[Answered]) -> tuple[SideBySide, ...]:
    """Return the worst answers, the worst first."""
    return tuple(
        SideBySide(
            brief(row.question, MOST),
            brief(row.base or "", MOST),
            brief(row.prompted, MOST),
            brief(row.baked, MOST),
            row.differs,
        )
        for row in worst_first(rows)[:SHOWN]
    )


def _figures(rows: Sequence[Answered], unasked: Sequence[str]) -> dict[str, Any]:
    low, high = wilson(sum(not row.differs for row in rows), len(rows))
    nats = [row.nats for row in rows if row.nats is not None]
    found: dict[str, Any] = {
        "questions": len(rows),
        "agreed": round(agreed(rows), 4),
        "agreed_interval": [round(low, 4), round(high, 4)],
    }
    if fresh := sum(row.is_fresh for row in rows):
        found["about_the_prompt"] = fresh
    if nats:
        found["worst_token"] = round(max(nats), 4)
    if unasked:
        found["unasked"] = list(unasked)
    return found


def _fails_by_itself(rows: Sequence[Answered], by: Thresholds) -> bool:
    """Tell whether the prompted model's answers fall apart, or hesitate far more than the base's.

    What the base does without any prompt is not the prompt's fault.
    """
    if fmean(falls_apart(row.prompted) for row in rows) >= by.broken:
        return True
    known = [row for row in rows if row.hesitant is not None and row.base_hesitant is not None]
    if not known:
        return False
    own, base = (fmean(of(row) or 0.0 for row in known) for of in (_OWN, _BASE))
    return own > by.hesitant and own > by.times * base


_OWN, _BASE = attrgetter("hesitant"), attrgetter("base_hesitant")


def _of_teacher(rows: Sequence[Answered]) -> str:
    shown = max(rows, key=lambda row: (falls_apart(row.prompted), row.hesitant or 0.0, row.key))
    return (
        f"the prompted model itself answers {_quoted(shown.question)} with "
        f"{_quoted(shown.prompted)}: it cannot follow this prompt, and nothing better can be baked"
    )


def _overruled(rows: Sequence[Answered], by: Thresholds) -> Answered | None:
    """Return an answer in which earlier bakes win over the prompt; None: they do so in few.

    Asked are the questions that the base answers otherwise with the prompt than without.
    """
    known = [
        row
        for row in rows
        if row.on_base is not None and shared(row.on_base, row.base or "") < by.alike
    ]
    lost = [row for row in known if _holds_against(row)]
    return lost[0] if lost and len(lost) >= by.against * len(known) else None


def _holds_against(row: Answered) -> bool:
    """Tell whether earlier bakes win over the prompt in an answer that says nothing of it."""
    prompted, unprompted, on_base = (
        told_of(text or "") for text in (row.prompted, row.unprompted, row.on_base)
    )
    comes_through = (prompted - unprompted) & on_base & set(row.told or ())
    return not comes_through and holds_against(row.prompted, row.unprompted, row.on_base)


def _of_earlier(shown: Answered) -> str:
    return (
        f"earlier bakes overrule the prompt: with it the parent answers "
        f"{_quoted(shown.question)} with {_quoted(shown.prompted)}, the base with "
        f"{_quoted(shown.on_base or '')}"
    )


def _of_unasked(unasked: Sequence[str]) -> str:
    named = ", ".join(f'"{word}"' for word in unasked[:3])
    return f"no question is answered with {named} of the prompt: what nobody asks is not learnt"


def _of_agreed(rows: Sequence[Answered], worst: Sequence[Answered], whose: str) -> str:
    """Return how many agree, and only then the worst: that one alone reads as the opposite."""
    if not worst:
        return f"it answers all {len(rows)} questions as {whose} does"
    agreed = f"{len(rows) - len(worst)} of {len(rows)} questions"
    return f"it answers {agreed} as {whose} does; at worst {_example(worst[0], whose)}"


def _of_worst(rows: Sequence[Answered], worst: Sequence[Answered], whose: str) -> str:
    others = f"; {len(worst)} of {len(rows)} questions differ" if len(worst) > 1 else ""
    return f"{_example(worst[0], whose)}{others}"


def _example(row: Answered, whose: str) -> str:
    return (
        f"it answers {_quoted(row.question)} with {_quoted(row.baked)}, {whose} with "
        f"{_quoted(row.prompted)}"
    )


def _quoted(text: str) -> str:
    return f'"{brief(text, ROOM)}"'
