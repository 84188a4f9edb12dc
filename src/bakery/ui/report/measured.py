"""What others measured of a model: its tests as `bgit test` gives them, and evaluations.

Data of a shape that is not known here is shown as the tables that it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bakery.records import given_name
from bakery.ui.report.figures import anything, between, figure, rows_of, share, table
from bakery.ui.report.markup import Markup, cut, element, said

SIDES = ("base", "prompted", "parent", "baked")
STATES = {"passed": ("good", "passes"), "lost": ("bad", "lost"), "prompt": ("part", "the prompt's")}
"""How what became of a test is drawn: `prompt` is what the prompted model fails, too."""

MOST_TESTS, LONGEST = 200, 2_000


def tests(data: Mapping[str, Any]) -> list[Markup]:
    """Return what became of tests: counts, a row each, and the answers of what was lost."""
    rows = _rows(data.get("tests"))
    if not rows or not all(isinstance(row.get("sides"), Mapping) for row in rows):
        return anything(data)
    counts = {state: sum(row.get("state") == state for row in rows) for state in ("passed", "lost")}
    told = f"{counts['passed']} of {len(rows)} pass, {counts['lost']} lost"
    notes = [note for note in data.get("notes") or () if isinstance(note, str)]
    here = [side for side in SIDES if any(side in row["sides"] for row in rows)]
    return [
        element("p", told, " that the prompted model passes." if counts["lost"] else "."),
        table(
            ["question", *here, "so it"],
            [
                (_asked(row), *(_passes(row, side) for side in here), _state(row))
                for row in rows[:MOST_TESTS]
            ],
        ),
        *(_lost(row) for row in rows[:MOST_TESTS] if row.get("state") == "lost"),
        *(element("p", cut(note, LONGEST), class_="quiet") for note in notes[:20]),
    ]


def _asked(row: Mapping[str, Any]) -> str:
    """Return the question of a test, the last of a conversation; its name where it has none."""
    said = [one for one in _rows(row.get("messages")) if isinstance(one.get("content"), str)]
    return cut(next((one["content"] for one in reversed(said)), row.get("name", "")), 200)


def _passes(row: Mapping[str, Any], side: str) -> Markup:
    found = row["sides"].get(side)
    if not isinstance(found, Mapping):
        return element("span", "–", class_="quiet")
    passed = found.get("passed") is True
    return element("span", "✓" if passed else "✗", class_=f"sign {'good' if passed else 'bad'}")


def _state(row: Mapping[str, Any]) -> Markup:
    kind, word = STATES.get(str(row.get("state")), ("none", str(row.get("state", ""))))
    return element("span", word, class_=f"chip {kind}")


def _lost(row: Mapping[str, Any]) -> Markup:
    """Return the answers to a test that was lost, and why each check fails."""
    answers = []
    for side in ("prompted", "baked"):
        found = row["sides"].get(side)
        if isinstance(found, Mapping):
            failed = [c for c in found.get("checks") or () if _fails(c)]
            answers.append(
                element(
                    "div",
                    element("h4", side),
                    said(found.get("answer", ""), most=LONGEST),
                    [
                        element("p", f"{c.get('check')}: {cut(c.get('why', ''), 300)}")
                        for c in failed
                    ],
                    class_="side",
                )
            )
    return element(
        "details",
        element("summary", f"What it says to “{_asked(row)}”"),
        element("div", answers, class_="sides two"),
    )


def _fails(check: Any) -> bool:
    return isinstance(check, Mapping) and check.get("passed") is False


def evaluations(name: str, data: Mapping[str, Any], step: int) -> Iterator[Markup]:
    """Yield every evaluation of a step of a bake that a file holds."""
    results = data.get("results")
    if not isinstance(results, Mapping):
        yield element("h3", name)
        yield from anything(data)
        return
    for key, found in results.items():
        if not str(key).startswith(f"{step}/") or not isinstance(found, Mapping):
            continue
        yield element("h3", f"Suite {cut(found.get('suite', key), 80)}")
        for axis in (axes := _rows(found.get("axes"))):
            yield from _axis(axis)
        if not axes:
            yield from anything(found)


def _axis(axis: Mapping[str, Any]) -> Iterator[Markup]:
    target = given_name(str(axis.get("target") or ""))
    yield element("h4", cut(axis.get("name", ""), 80), element("small", f" {target}"))
    if axis.get("why"):
        yield element("p", f"not measured: {cut(axis['why'], 500)}", class_="quiet")
        return
    figures = axis.get("figures")
    told = figures.items() if isinstance(figures, Mapping) else ()
    rows = [(str(name), one) for name, one in told if isinstance(one, Mapping)]
    if rows:
        heads = ["figure", "value", "95 % interval", "of"]
        yield table(heads, [_figure(name.replace("_", " "), one) for name, one in rows])
    if axis.get("on"):
        yield element("p", f"measured on {cut(axis['on'], 300)}", class_="quiet")
    if each := _rows(axis.get("rows")):
        yield element("details", element("summary", "Each of them"), rows_of(each))


def _figure(name: str, one: Mapping[str, Any]) -> tuple[Any, ...]:
    is_share = one.get("unit") == "share"
    unit = "" if is_share or not one.get("unit") else f" {one['unit']}"

    def shown(value: Any) -> str:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return share(value) if is_share and is_number else figure(value)

    low, high = one.get("low"), one.get("high")
    interval = "" if low is None or high is None else f"{shown(low)} to {shown(high)}"
    of = one.get("why") or f"n = {figure(one.get('n'))} {cut(one.get('of') or '', 80)}"
    value = f"{shown(one.get('value'))}{unit}" if one.get("value") is not None else "–"
    return name, value, interval, of


def verdict(figures: Mapping[str, Any]) -> list[Markup]:
    """Return what a verdict rests on; `x` with an `x_interval` beside is one figure, a share.

    An interval alone is of a figure of the card, and stands with it.
    """
    ends = {key.removesuffix("_interval"): key for key in figures if key.endswith("_interval")}
    shown = {
        key: _with_ends(figures, key) if key in ends else value
        for key, value in figures.items()
        if key not in ends.values()
    }
    return anything(shown) if shown else []


def _with_ends(figures: Mapping[str, Any], name: str) -> Any:
    value, ends = figures[name], between(figures, name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{share(value)} ({ends})" if is_number and ends else value


def _rows(value: Any) -> list[Mapping[str, Any]]:
    """Return a list of mappings; nothing where it is something else."""
    rows = value if isinstance(value, list) else []
    return rows if all(isinstance(row, Mapping) for row in rows) else []
