"""What a pool costs: two processes of Ray against one, for the same questions and answers.

    python -m benchmarks.pool                 # the embedded model
    python -m benchmarks.pool --base FOLDER --samples 4 --json

Prints wall and CPU seconds (of everything that was started), how long Ray took to begin, and how
many answers differ: rounding may decide between the likeliest two tokens.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

BGIT = Path(sys.executable).with_name("bgit")
IDENTITY = {
    "GIT_AUTHOR_NAME": "bench", "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "bench", "GIT_COMMITTER_EMAIL": "bench@example.org",
}  # fmt: skip
INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "Answer like a pirate."
TARGET:
  name: pirate
  num_traj_per_stimulus: {samples}
  max_tokens: 48
  generators:
    - type: hardcoded
      questions: [{questions}]
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of `rollout`, whose questions were there."""

    on: str
    wall_s: float
    cpu_s: float
    stage_s: float
    """Of the stage itself, with the beginning of Ray in it."""
    begin_s: float
    tokens: int


def main() -> None:
    """Measure both, and print what they come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--base", default="tiny")
    parser.add_argument("--questions", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--actors", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [
            _measured(Path(folder, str(number)), asked, on)
            for number, on in enumerate([None, f"local-cluster:{asked.actors}"])
        ]
    (one, alone), (many, shared) = found
    differing = sum(alone[key] != shared.get(key) for key in alone)
    told = {"one": asdict(one), "pool": asdict(many), "answers": len(alone), "differ": differing}
    print(json.dumps(told, indent=2) if asked.json else _table(one, many, len(alone), differing))


def _table(one: Measured, many: Measured, answers: int, differing: int) -> str:
    head = f"{'':<18}{'wall s':>9}{'CPU s':>9}{'stage s':>9}{'Ray begins s':>14}"
    rows = [
        f"{m.on:<18}{m.wall_s:>9.1f}{m.cpu_s:>9.1f}{m.stage_s:>9.1f}{m.begin_s:>14.1f}"
        for m in (one, many)
    ]
    return "\n".join(
        [head, *rows, f"{differing} of {answers} answers differ, {one.tokens:,} tokens"]
    )


Answers = dict[tuple[str, int], list[int]]


def _measured(folder: Path, asked: Any, on: str | None) -> tuple[Measured, Answers]:
    env = {**os.environ, **IDENTITY}
    listed = ", ".join(f'"What is {n} and {n + 1}?"' for n in range(asked.questions))
    _bgit(["init", str(folder), "--base-model", asked.base, "--owner", "bench"], Path.cwd(), env)
    text = INPUT.format(samples=asked.samples, questions=listed)
    (folder / "input.yml").write_text(text, encoding="utf-8")
    _bgit(["add", "input.yml"], folder, env)
    _bgit(["run", "stim"], folder, env)
    words = ["run", "rollout", *(["--on", on] if on else [])]
    began = time.monotonic()
    said, cpu = _watched(words, folder, env)
    wall = time.monotonic() - began
    (done,) = folder.glob(".git/bakery/target/*/done.json")
    rows = [
        json.loads(line)
        for line in (done.parent / "trajectories.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    answers = {(row["stimulus_id"], row["sample"]): row["response_ids"] for row in rows}
    begin = re.search(r"^starting local-cluster: ([\d.]+) s$", said, re.MULTILINE)
    stage_s = json.loads(done.read_text(encoding="utf-8"))["seconds"]
    tokens = sum(map(len, answers.values()))
    begin_s = float(begin[1]) if begin else 0.0
    return Measured(on or "one process", wall, cpu, stage_s, begin_s, tokens), answers


def _bgit(words: list[str], cwd: Path, env: dict[str, str]) -> None:
    subprocess.run([BGIT, *words], cwd=cwd, env=env, check=True, capture_output=True)


def _watched(words: list[str], cwd: Path, env: dict[str, str]) -> tuple[str, float]:
    """Run a command; return what it said, and the CPU seconds of it and all that it began.

    They are looked at ten times a second: nobody waits for what Ray begins.
    """
    process = subprocess.Popen(
        [BGIT, *words], cwd=cwd, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    seen: dict[int, float] = {}
    over = threading.Event()

    def watch() -> None:
        top = psutil.Process(process.pid)
        while not over.wait(0.1):
            with contextlib.suppress(psutil.Error):
                for one in [top, *top.children(recursive=True)]:
                    times = one.cpu_times()
                    seen[one.pid] = times.user + times.system

    watching = threading.Thread(target=watch)
    watching.start()
    _, said = process.communicate()
    over.set()
    watching.join()
    if process.returncode:
        sys.exit(said)
    return said, sum(seen.values())


if __name__ == "__main__":
    main()
