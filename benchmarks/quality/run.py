"""Measure time to quality: `python -m benchmarks.quality.run [--seeds N] [--only CASE ...]`.

Each side of each case is a process of its own with one thread. Results are appended to a file;
what is there already is not measured again, so that this goes on over as many sittings as it
takes. Seeds go around all sides before the next begins. `--show` measures nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.meter import ONE_THREAD
from benchmarks.quality import chart, table
from benchmarks.quality.cases import NAMES, Case, all_cases
from benchmarks.results import ROOT, Row

FILE = results.FOLDER / "quality.jsonl"
CHART = ROOT / "docs" / "quality.svg"
NEEDS_TRL = ("trl", "trl_tuned")
WORKER = (sys.executable, "-m", "benchmarks.quality.worker")


def main() -> None:
    """Measure what is missing, then print the tables and draw the chart."""
    asked = _arguments()
    for seed in range(1, 1 + (0 if asked.show else asked.seeds)):
        for case in all_cases():
            if not asked.only or case.name in asked.only:
                _measure(case, seed, asked)
    found = [row for row in read(asked.file) if "error" not in row]
    table.show(found, all_cases())
    if drawn := chart.draw(found, all_cases(), asked.chart):
        print(f"\nwritten: {', '.join(map(str, drawn))}")


def read(path: Path) -> list[Row]:
    """Return every result, the newest of each side of a case with a seed; a torn line is none."""
    found: dict[tuple[str, str, int], Row] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for line in lines:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        found[row["case"], row["side"], row["seed"]] = row
    return list(found.values())


def missing(
    rows: Sequence[Row], case: Case, seed: int, sides: Sequence[str], *, again: bool
) -> list[str]:
    """Return the sides of a case that are still to be measured with a seed, in their order."""
    done = {(r["case"], r["side"], r["seed"]) for r in rows if "error" not in r}
    return [
        side
        for side in case.sides
        if (not sides or side in sides) and (again or (case.name, side, seed) not in done)
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS") or 1))
    parser.add_argument("--only", nargs="+", default=[], metavar="CASE", help="tiny, persona, …")
    parser.add_argument("--sides", nargs="+", default=[], choices=list(NAMES), metavar="SIDE")
    parser.add_argument("--again", action="store_true", help="measure what is there, too")
    parser.add_argument("--budget", type=float, metavar="S", help="CPU seconds of each side")
    parser.add_argument("--file", type=Path, default=FILE, help="where the results are")
    parser.add_argument("--chart", type=Path, default=CHART, help="an .svg; a .png lies beside it")
    parser.add_argument("--show", action="store_true", help="only show what is there")
    return parser.parse_args()


def _measure(case: Case, seed: int, asked: argparse.Namespace) -> None:
    """Measure what is missing of a case, and append its rows."""
    sides = missing(read(asked.file), case, seed, asked.sides, again=asked.again)
    if not importlib.util.find_spec("trl"):
        print("trl is not installed: pip install -c constraints.txt -e '.[bench]'")
        sides = [side for side in sides if side not in NEEDS_TRL]
    if sides and not case.exam.with_suffix(".json").exists():
        print(f"{case.name:<8} its exam is made", flush=True)
        made = _worked(case.name, "exam")
        if made.returncode:
            sys.exit(made.stderr)
    for side in sides:
        row: Row = {"case": case.name, "side": side, "seed": seed, "date": time.strftime("%F")}
        budget = [] if asked.budget is None else [f"--budget={asked.budget}"]
        done = _worked(case.name, side, f"--seed={seed}", *budget)
        if done.returncode == 0:
            row |= json.loads(done.stdout.splitlines()[-1])
            said = f"{row['cpu_s']:7.1f} CPU s {row['peak_mb']:6.0f} MB, {row['ended']}"
        else:
            last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            said = row["error"] = f"ended with {done.returncode}: {last}"
        row["about"] = {key: results.description()[key] for key in ("processor", "versions")}
        results.append(asked.file, row)
        print(f"{case.name:<8} {NAMES[side]:<20} seed {seed}: {said}", flush=True)


def _worked(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WORKER, *arguments],
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    main()
