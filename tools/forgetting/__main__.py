"""Measure what a chain of bakes forgets: with nothing, with replay, with retention, with both.

    make forgetting      (or: python -m forgetting, from tools/)
    make forgetting FORGETTING="--base $(python tools/real_model.py) --seeds 1 --ways nothing both"

A row is appended for each chain, and a chain that was stopped goes on where it was; `--table` only
prints what is there. `tiny` learns five prompts of its world, another base those of `recipes/real`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> None:
    """Make what is missing, then print the tables."""
    arguments = _arguments()
    out: Path = arguments.out
    if not arguments.table:
        _make(arguments)
    from forgetting import table

    print(table.text([json.loads(line) for line in out.read_text("utf-8").splitlines()]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="tiny", help="a base model, as `bgit init` takes it")
    parser.add_argument("--seeds", type=int, default=3, help="chains of each way")
    parser.add_argument("--ways", nargs="+", metavar="WAY", help="some of the four")
    parser.add_argument("--out", type=Path, default=Path("build/forgetting/chains.jsonl"))
    parser.add_argument("--table", action="store_true", help="make nothing")
    return parser.parse_args()


def _make(arguments: argparse.Namespace) -> None:
    from forgetting import cases, making

    out: Path = arguments.out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text("utf-8").splitlines() if out.is_file() else []
    there = {(row["base"], row["seed"], row["way"]) for row in map(json.loads, lines)}
    is_tiny = arguments.base == "tiny"
    for seed in range(1, arguments.seeds + 1):
        for way in arguments.ways or making.WAYS:
            if (arguments.base, seed, way) in there:
                continue
            folder = out.parent / f"{Path(arguments.base).name}-{seed}-{way}"
            asked = cases.tiny(seed) if is_tiny else cases.real()
            row = making.made(asked, way, seed, folder, base=arguments.base)
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            shutil.rmtree(folder, ignore_errors=True)
            print(f"{seed}, {way}: {row['gap']}, {row['cpu_s']} CPU s", flush=True)


if __name__ == "__main__":
    main()
