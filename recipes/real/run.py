"""Bake three prompts, and one on top of another, into a real model: does it work there, too?

    make real                (or: python recipes/real/run.py [--seeds N] [--only NAME ...])
    make real SEEDS=3        goes on with what is not there yet, over as many sittings as it takes

Nothing but prompts and questions is said in the four input.yml files: rates, epochs and batches
are the defaults. Each stage runs as a user types it, and its CPU time and memory are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

RESULTS = HERE / "results.jsonl"
BGIT = str(Path(sys.executable).with_name("bgit"))
BAKES = {
    "persona": ("brine", ("persona",)),
    "rule": ("splendid", ("rule",)),
    "facts": ("pedal", ("facts",)),
    "chain": ("pedal", ("persona", "facts")),
}
"""Each bake by its folder: what it is called, and what it is examined on."""

FIRST = {"chain": "persona"}
"""What is baked before, in the same repository."""

ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "BGIT_STORE"},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Bakery",
    "GIT_AUTHOR_EMAIL": "real@example.org",
    "GIT_COMMITTER_NAME": "Bakery",
    "GIT_COMMITTER_EMAIL": "real@example.org",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
}


def main() -> None:
    """Bake what is not in the results yet, and print their table."""
    asked = _arguments()
    from tools.real_model import fetch

    base = fetch()
    for seed in range(1, asked.seeds + 1):
        for name in BAKES:
            if name in asked.only and not _is_done(name, seed):
                _bake(name, seed, base, asked.work)
    from recipes.real.table import show

    show(rows())


def rows() -> list[dict[str, Any]]:
    """Return every result there is."""
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text("utf-8").splitlines()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=int(os.environ.get("SEEDS") or 1))
    parser.add_argument("--only", nargs="+", default=list(BAKES), choices=list(BAKES))
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "real", metavar="FOLDER")
    return parser.parse_args()


def _is_done(name: str, seed: int) -> bool:
    return any((row["bake"], row["seed"]) == (name, seed) for row in rows())


def _bake(name: str, seed: int, base: Path, work: Path) -> None:
    repo = work / f"{FIRST.get(name, name)}-{seed}"
    if not repo.exists():
        repo.parent.mkdir(parents=True, exist_ok=True)
        typed(repo.parent, "init", repo.name, "--base-model", str(base), "--owner", "real")
    if name in FIRST and not (repo / ".baked").exists():
        _run(FIRST[name], seed, repo)
    stages = _run(name, seed, repo)
    called, checks = BAKES[name]
    shown = json.loads(_output(repo, BGIT, "show", called, "--json"))
    judge = [sys.executable, str(HERE / "judge.py"), str(repo), called, *checks]
    row = {
        "bake": name,
        "seed": seed,
        "date": time.strftime("%Y-%m-%d"),
        "stages": stages,
        "card": shown["card"],
        "notes": shown.get("notes", []),
        "model": shown["model"],
        "checks": json.loads(_output(repo, *judge)),
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _run(name: str, seed: int, repo: Path) -> dict[str, dict[str, float]]:
    """Commit a configuration and run it stage by stage; return what each took."""
    text = (HERE / name / "input.yml").read_text(encoding="utf-8")
    text = text.replace("BAKE:\n", f"BAKE:\n  seed: {seed}\n")
    text = text.replace("  generators:\n", f"  extra_kwargs: {{seed: {seed}}}\n  generators:\n")
    (repo / "input.yml").write_text(text, encoding="utf-8")
    typed(repo, "add", "input.yml")
    typed(repo, "commit", "-q", "--allow-empty", "-m", f"Bake {name}")
    found = {stage: _measured(repo, BGIT, "run", stage) for stage in ("stim", "rollout", "bake")}
    (repo / ".baked").touch()
    return found


def typed(folder: Path, *arguments: str) -> None:
    """Run a bgit command, and stop where it fails."""
    print(f"$ bgit {' '.join(arguments)}", flush=True)
    done = subprocess.run([BGIT, *arguments], cwd=folder, env=ENVIRONMENT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _measured(folder: Path, *command: str) -> dict[str, float]:
    """Run a command; return its CPU and wall seconds, and the most memory it had, in MB."""
    print(f"$ bgit {' '.join(command[1:])}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    return {
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "wall_s": round(time.monotonic() - started, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


def _output(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    shutil.which("git") or sys.exit("git is needed")
    main()
