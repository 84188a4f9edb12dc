"""Measure what is left of bakes that were merged, picked or left out, on `tiny`.

    make algebra      (or: python -m algebra, from tools/)

A row is appended for each part of each seed, and a run that was stopped goes on with the next;
`--table` only prints what is there.
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
    """Make what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--base", default="tiny")
    parser.add_argument(
        "--parts", nargs="+", metavar="PART", help="merged, voices, against, moved, long"
    )
    parser.add_argument("--out", type=Path, default=Path("build/algebra/parts.jsonl"))
    parser.add_argument("--table", action="store_true", help="make nothing")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    from algebra import parts, table

    out.parent.mkdir(parents=True, exist_ok=True)
    rows = (
        [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.is_file() else []
    )
    there = {(row["seed"], row["part"]) for row in rows}
    todo = [
        (seed, part)
        for seed in range(1, arguments.seeds + 1)
        for part in arguments.parts or parts.PARTS
    ]
    for seed, part in () if arguments.table else todo:
        if (seed, part) in there:
            continue
        found = parts.of(part, seed, out.parent, arguments.base)
        rows.append({"seed": seed, "part": part, "found": found})
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1], ensure_ascii=False) + "\n")
    print(table.text(rows))


if __name__ == "__main__":
    main()
