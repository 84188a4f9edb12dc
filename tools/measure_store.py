"""How long `bgit fsck` and `bgit gc` take on a large store: a thousand bakes on a hundred branches.

    python tools/measure_store.py [--bakes 1000] [--branches 100] [--width 2048]

Builds such a repository with a whole store in a temporary folder, without baking anything, and
prints what each command takes, process start included. Then it damages some files, and prints
how many of them are found.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, this folder stands there alone

from tools import made_store, measure_history, planted  # noqa: E402

COMMANDS = (
    ["fsck", "--weights-only", "--connectivity-only"],
    ["fsck", "--weights-only"],
    ["gc", "--dry-run", "--prune=now"],
)


def main() -> None:
    """Build, measure, damage, look again."""
    parser = argparse.ArgumentParser(description="Time bgit on a large store.")
    parser.add_argument("--bakes", type=int, default=1000)
    parser.add_argument("--branches", type=int, default=100)
    parser.add_argument("--width", type=int, default=2048, help="of the layers that are adapted")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "demo"
        branches = {
            ("main" if number == 0 else f"experiment/{number}"): [
                f"bake_{number}_{depth}" for depth in range(asked.bakes // asked.branches)
            ]
            for number in range(asked.branches)
        }
        made_store.build(root, branches, width=asked.width)
        store = root / ".git" / "bakery"
        size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
        print(f"{asked.bakes} bakes, {asked.branches} branches, {size / 1e9:.2f} GB")
        for command in COMMANDS:
            wall, cpu = measure_history.seconds(root, command)
            print(f"bgit {' '.join(command):42} CPU {cpu:5.2f} s, {wall:5.2f} s in all")
        print(_said(root, ["fsck", "--weights-only"]))
        places = planted.places(store)
        paths = [
            damage.plant(place) for damage, place in zip(planted.DAMAGES, places, strict=False)
        ]
        named = {one["path"] for one in _findings(root)}
        for damage, path in zip(planted.DAMAGES, paths, strict=False):
            print(f"{'found ' if str(path) in named else 'MISSED'} {damage.kind:9} {damage.name}")
        found = sum(str(path) in named for path in paths)
        print(f"{found} of {len(planted.DAMAGES)} planted damages are found")


def _findings(root: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(_said(root, ["fsck", "--weights-only", "--json"]))[
        "findings"
    ]
    return found


def _said(root: Path, command: Sequence[str]) -> str:
    bgit = Path(sys.executable).with_name("bgit")
    done = subprocess.run([bgit, *command], cwd=root, check=False, capture_output=True, text=True)
    return done.stdout


if __name__ == "__main__":
    main()
