"""Measure what a verdict is worth: bakes good and spoilt, each with a hidden exam.

    make verdicts        (or: python -m verdicts, from tools/)
    make verdicts VERDICTS="--base $(python tools/real_model.py) --count 19"

Rows are appended to a file as they are made, so that it goes on where it was stopped; `--table`
only prints what is there: of `results.jsonl` beside this module what docs/log.md has. Thresholds
are fitted on half of the bakes and tried on the other half.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    """Make what is missing, then print the table."""
    arguments = _arguments()
    out: Path = arguments.out
    if not arguments.table:
        _make(arguments.count, arguments.base, out)
    from verdicts import table

    print(table.text([json.loads(line) for line in out.read_text().splitlines()]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="bakes to make in all")
    parser.add_argument("--base", default="tiny", help="a base model, as `bgit init` takes it")
    parser.add_argument("--out", type=Path, default=Path("build/verdicts/bakes.jsonl"))
    parser.add_argument("--table", action="store_true", help="make nothing")
    return parser.parse_args()


def _make(count: int, base: str, out: Path) -> None:
    from verdicts import exams, making, ways

    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text().splitlines() if out.is_file() else []
    there = {(row["case"], row["way"], row["base"]) for row in map(json.loads, lines)}
    names = list(ways.ORDER)
    for number in range(count):
        way = names[number % len(names)]
        case = (exams.case if base == "tiny" else exams.real)(number)
        if way == ways.GARBAGE:
            case = exams.garbage(number // len(names))
        if (case.name, way, base) in there:
            continue
        made = making.made(case, way, out.parent / "repository", base=base)
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(made.as_data(), ensure_ascii=False) + "\n")
        word = (made.card.get("verdict") or {}).get("word")
        print(
            f"{number + 1}/{count} {case.name}, {way}: {word}; exam {made.both} of {made.prompted} "
            f"(n = {made.exam}), {made.cpu_s} CPU s",
            flush=True,
        )


if __name__ == "__main__":
    main()
