"""Charts as a picture: drawn once as lines and labels, written as SVG or as PNG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from bakery.ui.axes import Axis, Pairs, thinned

WIDTH, PANEL = 800, 300
LEFT, RIGHT, TOP, BOTTOM = 74, 24, 58, 36
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#57606a")
INK, QUIET, GRID, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"

SHARP = 2
"""Pixels of a PNG for one of the picture's own."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: a title, and a line of (step, value) pairs for each name."""

    title: str
    lines: dict[str, Pairs]
    mark: tuple[int, str] | None = None
    """A step to draw a line at, and what begins there."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points, in the picture's units."""

    points: tuple[tuple[float, float], ...]
    colour: str
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """A word or number; `x` is its left end, middle or right end."""

    x: float
    y: float
    text: str
    colour: str = QUIET
    size: int = 12
    anchor: Literal["start", "middle", "end"] = "start"


def svg(panels: Sequence[Panel]) -> str:
    """Return the panels below one another as the text of an SVG file."""
    return as_svg(_drawn(panels), PANEL * len(panels))


def png(panels: Sequence[Panel]) -> bytes:
    """Return the panels below one another as the bytes of a PNG file."""
    return as_png(_drawn(panels), PANEL * len(panels))


def as_svg(items: Iterable[Line | Label], height: int) -> str:
    """Return lines and labels as the text of an SVG file, `WIDTH` wide."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif">',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
    ]
    for item in items:
        if isinstance(item, Line):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in item.points)
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{item.colour}" '
                f'stroke-width="{item.width:g}" stroke-linejoin="round"/>'
            )
        else:
            parts.append(
                f'<text x="{item.x:.1f}" y="{item.y:.1f}" font-size="{item.size}" '
                f'fill="{item.colour}" text-anchor="{item.anchor}">{escape(item.text)}</text>'
            )
    return "\n".join([*parts, "</svg>", ""])


def as_png(items: Iterable[Line | Label], height: int) -> bytes:
    """Return lines and labels as the bytes of a PNG file, `WIDTH` wide."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (WIDTH * SHARP, height * SHARP), PAPER)
    draw = ImageDraw.Draw(image)
    anchors = {"start": "ls", "middle": "ms", "end": "rs"}
    for item in items:
        if isinstance(item, Line):
            points = [(x * SHARP, y * SHARP) for x, y in item.points]
            draw.line(points, fill=item.colour, width=round(item.width * SHARP), joint="curve")
        else:
            draw.text(
                (item.x * SHARP, item.y * SHARP),
                item.text,
                fill=item.colour,
                font=ImageFont.load_default(item.size * SHARP),
                anchor=anchors[item.anchor],
            )
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _drawn(panels: Sequence[Panel]) -> Iterator[Line | Label]:
    for index, panel in enumerate(panels):
        yield from _panel(panel, index * PANEL)


def _panel(panel: Panel, top: float) -> Iterator[Line | Label]:
    lines = list(panel.lines.values())
    y = Axis.over([v for pairs in lines for _, v in pairs], ticks=6, from_zero=True)
    x = Axis.of_steps([s for pairs in lines for s, _ in pairs], ticks=10)
    right, floor = WIDTH - RIGHT, top + PANEL - BOTTOM

    def across(step: float) -> float:
        return LEFT + x.place(step) * (right - LEFT)

    def down(value: float) -> float:
        return floor - y.place(value) * (floor - top - TOP)

    yield Label(16, top + 24, panel.title, INK, 15)
    for tick, label in zip(y.ticks, y.labels, strict=True):
        yield Line(((LEFT, down(tick)), (right, down(tick))), GRID)
        yield Label(LEFT - 8, down(tick) + 4, label, anchor="end")
    for tick, label in zip(x.ticks, x.labels, strict=True):
        yield Line(((across(tick), floor), (across(tick), floor + 4)), QUIET)
        yield Label(across(tick), floor + 18, label, anchor="middle")
    yield Label(right, floor + 32, "step", anchor="end")
    if panel.mark is not None and x.low <= panel.mark[0] <= x.high:
        at, what = across(panel.mark[0]), panel.mark[1]
        yield Line(((at, top + TOP), (at, floor)), QUIET)
        late = at > right - 7 * len(what)
        yield Label(
            at + (-6 if late else 6), top + TOP + 12, what, anchor="end" if late else "start"
        )
    for index, pairs in enumerate(lines):
        points = [(across(step), down(value)) for step, value in thinned(pairs, right - LEFT)]
        yield Line(tuple(points if len(points) > 1 else _dash(points)), _colour(index), 1.8)
    yield from _legend(panel, top + 44)


def _legend(panel: Panel, y: float) -> Iterator[Line | Label]:
    if len(panel.lines) < 2:
        return
    each = (WIDTH - LEFT - RIGHT) / len(panel.lines)
    for index, name in enumerate(panel.lines):
        x = LEFT + index * each
        yield Line(((x, y - 4), (x + 18, y - 4)), _colour(index), 3)
        most = int((each - 36) / 7.2)
        yield Label(x + 24, y, name if len(name) <= most else f"{name[: most - 1]}…", INK)


def _dash(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return a single point as a short line, which can be seen."""
    return [(x + side, y) for x, y in points for side in (-4, 4)]


def _colour(index: int) -> str:
    return COLOURS[index % len(COLOURS)]
