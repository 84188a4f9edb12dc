"""Figures in words: shares, divergences, intervals, and tables of what has no shape of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bakery.ui.chart import number
from bakery.ui.report.markup import Markup, cut, element

LONGEST = 400
"""Characters of a value in a table."""

MOST_ROWS = 200
"""Rows of a table."""

_VALUES, _LOWS, _HIGHS = ("value", "mean", "estimate"), ("low", "lower"), ("high", "upper")
_INTERVALS = ("interval", "ci", "ci95")


def share(value: float | None) -> str:
    """Return a share as a percentage."""
    return "–" if value is None else f"{100 * value:.1f}\u00a0%"


def between(figures: Mapping[str, Any], name: str) -> str:
    """Return the interval of a share, and how many it is of; "" where there is none."""
    ends = figures.get(f"{name}_interval")
    if not isinstance(ends, list | tuple) or len(ends) != 2:
        return ""
    if not all(isinstance(end, int | float) for end in ends):
        return ""
    count = figures.get("questions") if name == "agreed" else None
    of = "" if count is None else f", n = {figure(count)}"
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}{of}"


def change(before: float | None, after: float | None) -> str:
    """Return what a divergence was and is."""
    return "–" if after is None else f"{number(before)} → {number(after)}"


def figure(value: Any) -> str:
    """Return any value in words: a number with its digits, and its interval and n where it has."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return str(value) if not math.isfinite(value) else _plain(value)
    if isinstance(value, Mapping) and (estimate := _estimate(value)) is not None:
        return estimate
    if isinstance(value, list | tuple):
        return cut(", ".join(figure(one) for one in value), LONGEST)
    return cut(value, LONGEST)


def _plain(value: float) -> str:
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.4g}"


def _estimate(value: Mapping[str, Any]) -> str | None:
    """Return an estimate with its interval and n; None where a mapping is something else."""
    mean = next((value[key] for key in _VALUES if key in value), None)
    low = next((value[key] for key in _LOWS if key in value), None)
    high = next((value[key] for key in _HIGHS if key in value), None)
    for key in _INTERVALS:
        pair = value.get(key)
        if isinstance(pair, list | tuple) and len(pair) == 2:
            low, high = pair
    if mean is None or isinstance(mean, Mapping | list | tuple):
        return None
    parts = [f"{figure(low)} to {figure(high)}"] if low is not None and high is not None else []
    parts += [f"n = {figure(value['n'])}"] if value.get("n") is not None else []
    return f"{figure(mean)} ({', '.join(parts)})" if parts else figure(mean)


def pairs(rows: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Markup:
    """Return a table of labels and values; what is None is left out."""
    listed = rows.items() if isinstance(rows, Mapping) else rows
    return element(
        "table",
        [
            element("tr", element("th", label, scope="row"), element("td", _cell(value)))
            for label, value in listed
            if value is not None
        ],
        class_="pairs",
    )


def facts(rows: Mapping[str, Any]) -> Markup:
    """Return short values below their labels, as many beside one another as there is room for."""
    return element(
        "dl",
        [
            element("div", element("dt", label), element("dd", _cell(value)))
            for label, value in rows.items()
            if value is not None
        ],
        class_="facts",
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """Return a table with a head; on a phone each row is a card, so every cell knows its head."""
    listed = list(rows)
    more = len(listed) - MOST_ROWS
    return element(
        "div",
        element(
            "table",
            element("tr", [element("th", head, scope="col") for head in heads]),
            [
                element(
                    "tr",
                    [
                        element("td", _cell(value), data_head=head)
                        for head, value in zip(heads, row, strict=True)
                    ],
                )
                for row in listed[:MOST_ROWS]
            ],
            class_="rows",
        ),
        element("p", f"… and {more} more", class_="quiet") if more > 0 else None,
    )


def _cell(value: Any) -> str:
    return value if isinstance(value, Markup) else figure(value)


def anything(data: Mapping[str, Any]) -> list[Markup]:
    """Return tables of data of whatever shape: its figures, and each list of rows in it."""
    flat = {key: value for key, value in _flat(data) if key != "schema"}
    figures = {key: value for key, value in flat.items() if not _is_rows(value)}
    found = [pairs((_label(key), value) for key, value in figures.items())] if figures else []
    for key, value in flat.items():
        if _is_rows(value):
            found += [element("h3", _label(key)), rows_of(value)]
    return found


def rows_of(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Return rows of whatever columns as a table."""
    flat = [dict(_flat(row)) for row in rows]
    heads = list(dict.fromkeys(key for row in flat for key in row))
    return table([_label(head) for head in heads], [[row.get(h) for h in heads] for row in flat])


def _flat(data: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping) and _estimate(value) is None:
            yield from _flat(value, f"{before}{key}, ")
        else:
            yield f"{before}{key}", value


def _is_rows(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(r, Mapping) for r in value)


def _label(key: str) -> str:
    return cut(key.replace("_", " "), 80)
