"""Measure: `python -m benchmarks.run [--quick] [--grid] [--only NAME ...] [--resume]`.

Each measurement is a process of its own with one thread. Repeats go around all sides of a case
before they start again, so that a machine that drifts does so for all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import chart, report, results
from benchmarks.cases import Case, chosen
from benchmarks.meter import ONE_THREAD
from benchmarks.results import ROOT, Row


def main() -> None:
    """Run what is asked for, print the table, and say where the results are."""
    asked = _arguments()
    cases = chosen(asked.only, quick=asked.quick, grid=asked.grid)
    if not cases:
        sys.exit(f"no case begins with {' or '.join(asked.only)}")
    if asked.list:
        for case in cases:
            print(f"{case.name:<24} {' '.join(case.sides):<18} {case.title}")
        return
    path, done = opened(asked)
    for case in cases:
        for repeat in range(1 if asked.quick else asked.repeats):
            for side in case.sides:
                if (case.name, side, repeat) not in done and _possible(side, repeat):
                    _measure(path, case, side, repeat)
    report.show(path)
    drawn = chart.draw(results.figures(results.read(path)[1]), path.with_suffix(".svg"))
    print(f"\nwritten: {path}{', ' + path.with_suffix('.svg').name if drawn else ''}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="begin of names")
    parser.add_argument("--quick", action="store_true", help="a few cases, once")
    parser.add_argument("--grid", action="store_true", help="all sizes as well")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--resume", action="store_true", help="go on with the newest file")
    parser.add_argument("--file", type=Path, help="where the results go")
    parser.add_argument("--list", action="store_true", help="name the cases, measure nothing")
    return parser.parse_args()


def opened(asked: argparse.Namespace) -> tuple[Path, set[tuple[str, str, int]]]:
    """Return the result file, and which measurements it has already."""
    now = results.description()
    path = asked.file or (results.newest() if asked.resume else results.PUBLISHED)
    if path == results.PUBLISHED:
        path = results.FOLDER / f"{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    if not (asked.resume and path.exists()):
        if path.exists():
            sys.exit(f"{path} exists: give --resume to go on with it")
        results.append(path, now)
        return path, set()
    before, rows = results.read(path)
    changed = [key for key, value in now.items() if before.get(key) != value]
    if changed:
        sys.exit(f"{path} was begun with other {', '.join(changed)}: start anew without --resume")
    return path, {(r["case"], r["side"], r["repeat"]) for r in rows if "error" not in r}


def _possible(side: str, repeat: int) -> bool:
    if side != "trl" or importlib.util.find_spec("trl"):
        return True
    if repeat == 0:
        print("trl is not installed: pip install -c constraints.txt -e '.[bench]'")
    return False


def _measure(path: Path, case: Case, side: str, repeat: int) -> None:
    """Run one measurement, append its row, and say it in a line."""
    load = round(os.getloadavg()[0], 2)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", case.name, side],
        cwd=ROOT,
        env=os.environ | ONE_THREAD,
        capture_output=True,
        text=True,
        check=False,
    )
    row: Row = {"case": case.name, "side": side, "repeat": repeat, "load": load}
    if done.returncode == 0:
        row |= json.loads(done.stdout.splitlines()[-1])
        said = f"{row['cpu_s']:8.2f} CPU s {row['grown_mb']:8.0f} MB"
    else:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        row["error"] = f"ended with {done.returncode}: {last}"
        said = row["error"]
    row["workload"] = case.workload.as_data()
    results.append(path, row)
    print(f"{case.name:<24} {side:<6} {repeat + 1}: {said}", flush=True)


if __name__ == "__main__":
    main()
