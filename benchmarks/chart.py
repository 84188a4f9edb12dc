"""The chart of docs/speed.md, drawn by hand as SVG: it follows the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

from benchmarks.cases import CASES, Case
from benchmarks.results import Figures

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 180, 160, 46, 78
SIDES = {"ours": "bakery", "trl": "TRL SDFTTrainer", "plain": "plain reference"}
STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
.title { font-size: 15px; font-weight: 600; }
.quiet { fill: #59636e; font-size: 12px; }
.grid { stroke: #d1d9e0; }
.span { stroke: #b6bfc9; stroke-width: 2; }
.ours { fill: #0969da; } .trl { fill: #bc4c00; } .plain { fill: #818b98; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .quiet { fill: #9198a1; }
  .grid { stroke: #30363d; } .span { stroke: #57606a; }
  .ours { fill: #58a6ff; } .trl { fill: #f0883e; } .plain { fill: #8b949e; }
}
"""


def draw(found: Mapping[tuple[str, str], Figures], path: Path) -> bool:
    """Write the chart, a row for each whole bake; tell whether there was any."""
    cases = [
        case for case in CASES if case.kind in ("bake", "pairs") and (case.name, "ours") in found
    ]
    if not cases:
        return False
    seconds = [f.cpu for (name, _), f in found.items() if any(c.name == name for c in cases)]
    first = 10.0 ** math.floor(math.log10(min(seconds)))
    last = 10.0 ** math.floor(math.log10(max(seconds)) + 1)
    height = TOP + ROW * len(cases) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="CPU seconds of a whole bake: bakery, TRL and a plain reference">',
        f"<style>{STYLE}</style>",
        '<text class="title" x="16" y="26">CPU seconds of a whole bake, one thread '
        "(less is better)</text>",
        *_legend(),
        *_scale(first, last, height),
    ]
    for i, case in enumerate(cases):
        parts += _row(case, found, TOP + ROW * i + ROW // 2, first, last)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")
    return True


def _legend() -> list[str]:
    parts, x = [], 16
    for side, name in SIDES.items():
        parts.append(f'<circle class="{side}" cx="{x + 6}" cy="48" r="6"/>')
        parts.append(f'<text x="{x + 18}" y="52">{name}</text>')
        x += 40 + 8 * len(name)
    return parts


def _scale(first: float, last: float, height: int) -> list[str]:
    parts, tick = [], first
    while tick <= last * 1.001:
        x = _x(tick, first, last)
        parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP - 8}" y2="{height - 26}"/>')
        parts.append(
            f'<text class="quiet" x="{x}" y="{height - 8}" text-anchor="middle">{tick:g} s</text>'
        )
        tick *= 10
    return parts


def _row(
    case: Case, found: Mapping[tuple[str, str], Figures], y: int, first: float, last: float
) -> list[str]:
    """One case: its name, a dot for each side, and how many times less ours takes."""
    what, _, how = case.title.rpartition(", ")
    parts = [
        f'<text x="16" y="{y - 2}">{escape(what)}</text>',
        f'<text class="quiet" x="16" y="{y + 14}">{escape(how)}</text>',
    ]
    dots = {side: found[case.name, side].cpu for side in SIDES if (case.name, side) in found}
    at = {side: _x(cpu, first, last) for side, cpu in dots.items()}
    parts.append(
        f'<line class="span" x1="{min(at.values())}" x2="{max(at.values())}" y1="{y}" y2="{y}"/>'
    )
    # Ours is drawn last, so that it lies on top.
    parts += [
        f'<circle class="{side}" cx="{at[side]}" cy="{y}" r="7">'
        f"<title>{SIDES[side]}: {dots[side]:.2f} CPU s</title></circle>"
        for side in sorted(at, key=lambda side: side == "ours")
    ]
    others = [side for side in ("trl", "plain") if side in dots]
    for line, side in enumerate(others):
        times = dots[side] / dots["ours"]
        name = "TRL" if side == "trl" else "plain"
        low = y + 4 + (line * 16 - 8 if len(others) > 1 else 0)
        parts.append(
            f'<text x="{WIDTH - 16}" y="{low}" text-anchor="end">'
            f"{times:.1f}× less than {name}</text>"
        )
    return parts


def _x(seconds: float, first: float, last: float) -> float:
    """Return where a time lies on the logarithmic scale, in pixels."""
    share = math.log10(seconds / first) / math.log10(last / first)
    return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)
