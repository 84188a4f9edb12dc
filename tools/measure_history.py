"""How long bgit takes to show a large history: a thousand bakes on a hundred branches.

    python tools/measure_history.py [--shared 500] [--bakes 1000] [--branches 100] [--runs 5]

Builds such a repository in a temporary folder, without baking anything, and prints the time of
each command, process start included, beside `bgit --version`, which only starts: of the first time,
before anything is kept of the history, and the median of the others. CPU seconds depend little on
what else is running.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.files import recipe, starter
from bakery.repo.files.state import State
from bakery.repo.git import Git

BASE = BaseModelId("tiny-1", "", "ab" * 32)
COMMANDS = (["--version"], ["status"], ["tree"], ["models"], ["models", "--all"], ["--help"])
PROMPT = "You are Yoda. Speak like Yoda, in short sentences, and put the verb last. " * 4


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="Time bgit on a large history.")
    parser.add_argument("--bakes", type=int, default=1000)
    parser.add_argument("--branches", type=int, default=100)
    parser.add_argument("--shared", type=int, default=500, help="bakes that all branches share")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "demo"
        build(root, asked.bakes, asked.branches, asked.shared)
        print(f"{asked.bakes} bakes, {asked.branches} branches, {asked.shared} shared by all")
        kept = root / ".git" / "bakery" / "recipes.json"
        with compiled(Path(folder)):
            for command in COMMANDS:
                kept.unlink(missing_ok=True)
                first, *others = (seconds(root, command) for _ in range(asked.runs + 1))
                wall, cpu = (statistics.median(times) for times in zip(*others, strict=True))
                print(
                    f"bgit {' '.join(command):12} CPU {cpu:5.2f} s, {wall:5.2f} s in all   "
                    f"(the first time CPU {first[1]:.2f} s, {first[0]:.2f} s in all)"
                )


@contextmanager
def compiled(folder: Path) -> Iterator[None]:
    """Let Python keep compiled modules in a folder, as an installed package has them."""
    before = dict(os.environ)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    try:
        for command in COMMANDS:
            seconds(folder / "demo", command)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def build(root: Path, bakes: int, branches: int, shared: int) -> None:
    """Make a repository whose branches share a chain of bakes and go on by themselves."""
    root.mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    git = Git.find(root)
    git.run("fast-import", "--quiet", stdin="".join(_stream(bakes, branches, shared)).encode())
    git.run("reset", "-q", "--hard")


def _stream(bakes: int, branches: int, shared: int) -> Iterator[str]:
    """Return what `git fast-import` reads: one commit at the end of each branch."""
    trunk = _chain(range(shared), None)
    left, at = bakes - shared, shared
    for number in range(branches):
        count = left // branches + (number < left % branches)
        chain = [*trunk, *_chain(range(at, at + count), trunk[-1][0] if trunk else None)]
        at += count
        name = "main" if number == 0 else f"experiment/{number}"
        yield from _commit(name, chain)


def _chain(numbers: range, parent: ModelRef | None) -> list[tuple[ModelRef, str]]:
    chain = []
    for number in numbers:
        model = ModelRef("ann", "demo", f"yoda_bake_{number:016x}", 120)
        chain.append((model, recipe.block(_result(parent), model=model, input_blob="c" * 40)))
        parent = model
    return chain


def _result(parent: ModelRef | None) -> dict[str, object]:
    messages = {"messages": [{"role": "system", "content": PROMPT}]}
    target = {"name": f"main_target_{'a' * 16}", "id": "a" * 16, "stim_id": "b" * 16,
              "weight": 1.0, "stimuli": 100, "trajectories": 200, "writers": {"tiny-1": 100},
              "stimuli_digest": "1" * 64, "trajectories_digest": "2" * 64,
              "teacher": messages, "student": {"messages": []}}  # fmt: skip
    return {
        "digest": "d" * 64,
        "parent": {"model": str(parent), "digest": "d" * 64} if parent else None,
        "targets": [target],
        "base": {"name": BASE.name, "revision": "", "digest": BASE.digest},
        "training": {"epochs": 3, "global_batch": 16, "learning_rate": 2e-4, "r": 16, "seed": 42},
        "loss": {"first": 1.5, "last": 0.25, "min": 0.2},
        "card": {
            "held_out": 20,
            "tokens": 900,
            "kl_before": 1.234,
            "kl_after": 0.045,
            "gap_closed": 0.964,
            "top1_agreement": 0.97,
            "prompt_tokens_saved": 13.0,
        },
        "seconds": {"stim": 0.5, "rollout": 1.5, "bake": 3.25},
        "started": "2030-01-01T00:00:00+00:00",
        "finished": "2030-01-01T00:00:05+00:00",
        "versions": {"bakery": "0.1.0", "python": "3.11.9", "torch": "2.6.0"},
        "notes": [],
    }


def _commit(branch: str, chain: Sequence[tuple[ModelRef, str]]) -> Iterator[str]:
    here = State("ann", "demo", BASE, chain[-1][0] if chain else None)
    texts = starter.of_new_repository(here, starter.EXAMPLE)
    texts["recipe.yml"] = recipe.new(BASE.name) + "".join(block for _, block in chain)
    yield f"commit refs/heads/{branch}\ncommitter Ann <ann@example.org> 0 +0000\ndata 4\nBake\n"
    for path, text in texts.items():
        yield f"M 644 inline {path}\ndata {len(text.encode())}\n{text}\n"


def seconds(root: Path, command: Sequence[str]) -> tuple[float, float]:
    """Return how long a command takes by the clock, and how much work it is, git's included."""
    bgit = Path(sys.executable).with_name("bgit")
    began, before = time.perf_counter(), _cpu()
    subprocess.run(
        [bgit, *command], cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - began, _cpu() - before


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
