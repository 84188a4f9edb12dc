"""The tables and the chart from a result file: `python -m benchmarks.report [--publish]`.

`--publish` keeps the file as `results/latest.jsonl`, draws `docs/speed.svg` and puts the tables
between the two marks in docs/speed.md. Every table fits 80 columns.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import chart, goals, results
from benchmarks.cases import CASES, GRID, Case
from benchmarks.results import PUBLISHED, ROOT, Figures, Row

MARKS = ("<!-- The tables of `make bench` stand between these two lines. -->", "<!-- end -->")
NAMES = {"ours": "bakery", "trl": "TRL", "plain": "plain", "floor": "floor", "fitting": "CE"}
QUIET = 1.25
"""Wall clock over CPU seconds of one thread up to which nothing else seems to have run."""

Found = dict[tuple[str, str], Figures]


def main() -> None:
    """Print the tables of a result file; with `--publish` put them where people read them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", help="default: the newest")
    parser.add_argument("--publish", action="store_true")
    asked = parser.parse_args()
    path = asked.file or results.newest()
    show(path)
    if asked.publish:
        publish(path)


def show(path: Path) -> None:
    """Print every table, the spread of the repeats, what is missing, and the goals."""
    about, rows = results.read(path)
    found = with_estimates(results.figures(rows))
    parts = [
        *tables(found),
        spread(found),
        goals.lines(found),
        left_out(found, rows),
        machine(about, found),
    ]
    print("\n" + "\n\n".join("\n".join(part) for part in parts if part))


def publish(path: Path) -> None:
    """Make this file the published one: table and chart in the documents."""
    about, rows = results.read(path)
    found = with_estimates(results.figures(rows))
    if path != PUBLISHED:
        shutil.copyfile(path, PUBLISHED)
    text = "\n\n".join(
        "\n".join(part) for part in [*tables(found, CASES), machine(about, found)] if part
    )
    page = ROOT / "docs" / "speed.md"
    before, after = (
        page.read_text(encoding="utf-8"),
        f"{MARKS[0]}\n```text\n{text}\n```\n{MARKS[1]}",
    )
    pattern = re.compile(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", re.DOTALL)
    if not pattern.search(before):
        raise SystemExit(f"{page} has no line {MARKS[0]}")
    page.write_text(pattern.sub(lambda _: after, before), encoding="utf-8")
    chart.draw(found, ROOT / "docs" / "speed.svg")
    print(f"\nwritten: docs/speed.md, docs/speed.svg, {PUBLISHED.relative_to(ROOT)}")


def with_estimates(found: Found) -> Found:
    """Add what more epochs cost the sides that keep nothing between them: so many times one."""
    estimates: Found = {}
    for case in GRID:
        epochs = case.workload.epochs
        once = case.name.replace(f"x{epochs}", "x1")
        for side in case.left_out:
            if epochs > 1 and (one := found.get((once, side))):
                estimates[case.name, side] = replace(
                    one, cpu_s=[one.cpu * epochs], wall_s=[one.cpu * epochs], estimated=True
                )
    return estimates | found


def tables(found: Found, cases: Sequence[Case] = (*CASES, *GRID)) -> list[list[str]]:
    """Return one table for each kind of work that was measured."""
    measured = [case for case in cases if (case.name, "ours") in found]

    def of(*kinds: str, grid: bool = False) -> list[Case]:
        return [c for c in measured if c.kind in kinds and (c in GRID) == grid]

    return [
        part
        for part in (
            bakes("a whole bake", found, of("bake", "fresh", "pairs")),
            sampling(found, of("sampling")),
            floors(found, of("step", "train")),
            memories(found, of("memory")),
            bakes("|V|, prefix, answer", found, of("bake", grid=True)),
        )
        if part
    ]


def bakes(title: str, found: Found, cases: Sequence[Case]) -> list[str]:
    """CPU seconds of each side, how many times less ours takes, and the peaks."""
    if not cases:
        return []
    head = [
        f"{'':30}{'CPU seconds':^20} {'times less':^11} {'peak growth, MB':^17}".rstrip(),
        f"{title:<30}{'bakery':>6} {'TRL':>6} {'plain':>6} {'TRL':>5} {'plain':>5} "
        f"{'bakery':>6} {'TRL':>4} {'plain':>5}",
    ]
    lines = []
    for case in cases:
        # The others have fresh answers in every epoch, whatever ours does.
        same = case.name.replace("fresh", "bake")
        ours = found.get((case.name, "ours"))
        trl, plain = found.get((same, "trl")), found.get((same, "plain"))
        lines.append(
            f"{case.title:<30}{_s(ours):>6} {_s(trl):>6} {_s(plain):>6} "
            f"{_times(trl, ours):>5} {_times(plain, ours):>5} "
            f"{_mb(ours):>6} {_mb(trl):>4} {_mb(plain):>5}"
        )
    return [*head, *lines]


def sampling(found: Found, cases: Sequence[Case]) -> list[str]:
    """Tokens per CPU second: ours with prefill and the teacher's record, plain without one."""
    if not cases:
        return []
    head = f"{'sampling alone':<30}{'bakery':>6} {'plain':>6}  tokens per CPU second, 32 rows"
    lines = []
    for case in cases:
        speeds = []
        for side in ("ours", "plain"):
            one = found.get((case.name, side))
            speeds.append(f"{one.tokens / one.cpu:.0f}" if one else "-")
        lines.append(f"{case.title:<30}{speeds[0]:>6} {speeds[1]:>6}")
    return [head, *lines]


def floors(found: Found, cases: Sequence[Case]) -> list[str]:
    """CPU seconds against bare forward and backward of the student over the same tokens."""
    if not cases:
        return []
    head = (
        f"{'training alone':<30}{'bakery':>6} {'floor':>6} {'CE':>6}  CPU seconds; bakery / floor"
    )
    lines = []
    for case in cases:
        ours, floor, fitting = (found.get((case.name, s)) for s in ("ours", "floor", "fitting"))
        ratio = f"{ours.cpu / floor.cpu:.2f}" if ours and floor else ""
        lines.append(
            f"{case.title:<30}{_s(ours):>6} {_s(floor):>6} {_s(fitting):>6}  {ratio}".rstrip()
        )
    return [head, *lines]


def memories(found: Found, cases: Sequence[Case]) -> list[str]:
    """Growth of the peak in one step at a large vocabulary."""
    if not cases:
        return []
    head = f"{'memory of a step, |V| 152k':<30}{'bakery':>6} {'plain':>6}  peak growth, MB"
    lines = []
    for case in cases:
        ours, plain = found.get((case.name, "ours")), found.get((case.name, "plain"))
        ratio = f"{plain.memory / max(ours.memory, 1):.1f}x less" if ours and plain else ""
        lines.append(f"{case.title:<30}{_mb(ours):>6} {_mb(plain):>6}  {ratio}".rstrip())
    return [head, *lines]


def spread(found: Found) -> list[str]:
    """Median, least and most of every side that was repeated."""
    head = f"{'spread, CPU seconds':<30}{'':7}{'n':>2} {'least':>8} {'median':>8} {'most':>8}"
    lines = [
        f"{name:<30}{NAMES[side]:<7}{len(one.cpu_s):>2} "
        f"{min(one.cpu_s):8.2f} {one.cpu:8.2f} {max(one.cpu_s):8.2f}"
        for (name, side), one in found.items()
        if len(one.cpu_s) > 1
    ]
    return [head, *lines] if lines else []


def left_out(found: Found, rows: Sequence[Row]) -> list[str]:
    """What was not measured, and why; what failed, and how; what ours ran with."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for case in (*CASES, *GRID):
        if (case.name, "ours") in found:
            for reason in dict.fromkeys(case.left_out.values()):
                sides = [NAMES[side] for side, why in case.left_out.items() if why == reason]
                reasons.setdefault((", ".join(sides), reason), []).append(case.name)
    lines = [f"no {who} ({why}): {', '.join(names)}" for (who, why), names in reasons.items()]
    lines += [f"{r['case']}: {NAMES[r['side']]} failed: {r['error']}" for r in rows if "error" in r]
    chosen: dict[str, list[str]] = {}
    for (name, side), one in found.items():
        if side == "ours" and one.numerics:
            chosen.setdefault(one.numerics, []).append(name)
    lines += [f"bakery ran with {how}: {', '.join(names)}" for how, names in chosen.items()]
    busy = _busy(found)
    if busy:
        lines.append(f"not quiet (wall clock over {QUIET} times CPU): {', '.join(busy)}")
    return [wrapped for line in lines for wrapped in _wrapped(line)]


def machine(about: Row, found: Found) -> list[str]:
    """On what it was measured, how often, and whether anything else ran."""
    versions = ", ".join(f"{name} {v}" for name, v in about["versions"].items() if v != "-")
    counts = sorted({len(one.cpu_s) for one in found.values() if not one.estimated})
    repeats = " to ".join(str(n) for n in dict.fromkeys((*counts[:1], *counts[-1:])))
    busy = " Other work ran beside it." if _busy(found) else ""
    return _wrapped(
        f"One thread of {about['processor']} ({about['cores']} cores, {about['memory_gb']} GB); "
        f"{about['system']}; {versions}. Medians of {repeats}.{busy}"
    )


def _busy(found: Found) -> list[str]:
    """Return what the processor was taken away from while it was measured."""
    return [
        f"{name} {NAMES[side]}"
        for (name, side), one in found.items()
        if max(w / c for w, c in zip(one.wall_s, one.cpu_s, strict=True)) > QUIET
    ]


def _s(one: Figures | None) -> str:
    if one is None:
        return "-"
    mark = "~" if one.estimated else ""
    return f"{mark}{one.cpu:.2f}" if one.cpu < 100 else f"{mark}{one.cpu:.0f}"


def _mb(one: Figures | None) -> str:
    return f"{one.memory:.0f}" if one else "-"


def _times(other: Figures | None, ours: Figures | None) -> str:
    if other is None or ours is None:
        return "-"
    times = other.cpu / ours.cpu
    return f"{times:.1f}x" if times < 100 else f"{times:.0f}x"


def _wrapped(line: str, width: int = 80) -> list[str]:
    lines = [""]
    for word in line.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("  ")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1].strip() else f"{lines[-1]}{word}"
    return lines


if __name__ == "__main__":
    main()
