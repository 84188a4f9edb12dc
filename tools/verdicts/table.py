"""Bakes in, thresholds and a confusion table out: fitted on one half, tried on the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from statistics import median_low
from typing import Any

from bakery.evals import verdict
from bakery.evals.agreement import Answered
from bakery.evals.intervals import wilson
from bakery.evals.verdict import FITTED, Thresholds
from bakery.verdict import WORDS, Word

Row = Mapping[str, Any]

OBEYS = 0.5
"""Under this share of an exam that the prompted model passes, the prompt itself does not hold."""
TRUE_HOLDS, TRUE_IN_PART = 0.9, 0.5
"""Of what the prompted model passes in an exam, the share that the bake passes, too."""
GRID = {
    "holds": (0.8, 0.84, 0.88, 0.9, 0.92, 0.95),
    "in_part": (0.3, 0.4, 0.5, 0.6, 0.7),
    "fresh": (0.5, 0.6, 0.7, 0.8, 0.9),
}
_NAMES = {one.name for one in fields(Answered)}


def truth(row: Row) -> Word:
    """Return what the exam says."""
    if row["prompted"] < OBEYS * row["exam"]:
        return WORDS[2]
    share = row["both"] / row["prompted"]
    return WORDS[0] if share >= TRUE_HOLDS else WORDS[1] if share >= TRUE_IN_PART else WORDS[2]


def said(row: Row, by: Thresholds = FITTED) -> Word:
    """Return what the verdict says by some thresholds, of what was answered when it was made."""
    found = []
    for name in dict.fromkeys(one["target"] for one in row["asked"]):
        card = row["card"].get("targets", {}).get(name, row["card"])
        if card.get("anchor"):
            continue
        rows = [_answered(one) for one in row["asked"] if one["target"] == name]
        unasked = card["verdict"]["figures"].get("unasked", ())
        one = verdict.judge(rows, unasked=unasked, by=by)
        if one is not None:
            found.append(one)
    whole = verdict.of_all(found)
    assert whole is not None  # something was asked
    return whole.word


def fitted(rows: Sequence[Row]) -> Thresholds:
    """Return the thresholds of the grid with the fewest wrong words: the middle of the best."""
    tried = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
    wrong = [sum(said(row, replace(FITTED, **by)) != truth(row) for row in rows) for by in tried]
    best = [by for by, count in zip(tried, wrong, strict=True) if count == min(wrong)]
    return replace(FITTED, **{name: median_low(by[name] for by in best) for name in GRID})


def text(rows: Sequence[Row]) -> str:
    """Return what came of it, for people: the fit, the table of the other half, and the errors."""
    to_fit, held = rows[0::2], rows[1::2]
    by = fitted(to_fit)
    named = ", ".join(f"{name} {getattr(by, name)}" for name in GRID)
    lines = [f"{len(rows)} bakes; fitted on {len(to_fit)}: {named}"]
    for title, thresholds in (("fitted", by), ("as they stand", FITTED)):
        for half, part in (("fit half", to_fit), ("held half", held)):
            lines += ["", f"{half}, thresholds {title}", *_table(part, thresholds)]
    return "\n".join([*lines, "", *_wrong(rows, FITTED)])


def _table(rows: Sequence[Row], by: Thresholds) -> Iterator[str]:
    """Yield a confusion table: what the exam says by what the verdict says."""
    count = Counter((truth(row), said(row, by)) for row in rows)
    yield f"| the exam says | {' | '.join(WORDS)} |"
    yield f"|{'---|' * (len(WORDS) + 1)}"
    for true in WORDS:
        yield f"| {true} | {' | '.join(str(count[true, word]) for word in WORDS)} |"
    wrong = sum(n for (true, word), n in count.items() if true != word)
    praised = sum(n for (true, word), n in count.items() if word == WORDS[0] and true != word)
    yield f"wrong word: {_share(wrong, len(rows))}; said to hold and does not: {praised}"


def _share(hits: int, of: int) -> str:
    low, high = wilson(hits, of)
    return f"{hits} of {of} ({100 * low:.0f} to {100 * high:.0f} %)"


def _wrong(rows: Sequence[Row], by: Thresholds) -> Iterator[str]:
    for row in rows:
        if (word := said(row, by)) != (true := truth(row)):
            yield (
                f'{row["case"]}, {row["way"]}: "{word}", the exam "{true}" ({row["both"]} of '
                f"{row['prompted']}, n = {row['exam']}): {row['card']['verdict']['reason']:.150}"
            )


def _answered(row: Row) -> Answered:
    return Answered(**{key: value for key, value in row.items() if key in _NAMES})
