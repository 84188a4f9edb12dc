"""Training curves as SVG within the page: their colours are the page's, in light and in dark."""

from __future__ import annotations

from collections.abc import Sequence

from bakery.ui.axes import Axis, Pairs, thinned
from bakery.ui.report.markup import Markup, element

WIDTH, HEIGHT = 440, 236
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 14, 40
"""Small enough that numbers can be read where a phone makes the picture narrower."""


def curve(title: str, pairs: Pairs, *, mark: tuple[int, str] | None = None) -> Markup:
    """Return a line of (step, value) pairs; `mark`: a step, and what begins there."""
    y = Axis.over([value for _, value in pairs], ticks=5, from_zero=True)
    x = Axis.of_steps([step for step, _ in pairs], ticks=6)
    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(step: float) -> float:
        return LEFT + x.place(step) * (right - LEFT)

    def down(value: float) -> float:
        return floor - y.place(value) * (floor - TOP)

    parts = [element("title", title)]
    for tick, label in zip(y.ticks, y.labels, strict=True):
        parts += [
            _line([(LEFT, down(tick)), (right, down(tick))], "grid"),
            _label(LEFT - 7, down(tick) + 4, label, "end"),
        ]
    for tick, label in zip(x.ticks, x.labels, strict=True):
        parts.append(_label(across(tick), floor + 17, label, "middle"))
    parts.append(_label(right, HEIGHT - 4, "step", "end"))
    if mark is not None and x.low <= mark[0] <= x.high:
        at, late = across(mark[0]), mark[0] > (x.low + x.high) / 2
        parts.append(_line([(at, TOP), (at, floor)], "mark"))
        parts.append(
            _label(at + (-6 if late else 6), TOP + 10, mark[1], "end" if late else "start")
        )
    points = [(across(step), down(value)) for step, value in thinned(pairs, right - LEFT)]
    if len(points) == 1:  # a dot would not be seen
        (only,) = points
        points = [(only[0] - 4, only[1]), (only[0] + 4, only[1])]
    parts.append(_line(points, "line"))
    return element("svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="curve")


def bar(part: float, kind: str) -> Markup:
    """Return a bar that is filled by a part between 0 and 1."""
    filled = max(0.0, min(part, 1.0))
    return element(
        "svg",
        element("rect", width=100, height=8, rx=2, class_="track"),
        element("rect", width=f"{100 * filled:.1f}", height=8, rx=2, class_=f"fill {kind}"),
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        class_="bar",
        aria_hidden="true",
    )


def _line(points: Sequence[tuple[float, float]], kind: str) -> Markup:
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=at, class_=kind)


def _label(x: float, y: float, label: str, anchor: str) -> Markup:
    return element("text", label, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)
