"""Three bakes, one after the other: the tutorial, typed as a user types it.

    make demo        (or: python recipes/sequential/run.py [FOLDER])

Each bake starts from the one before. Everything lands in a scratch folder, which stays.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import bakery

HERE = Path(__file__).parent
BGIT = str(Path(sys.executable).with_name("bgit"))
NAME = "yoda"
MESSAGES = {
    1: "Initial Yoda personality",
    2: "Add more wisdom and depth to Yoda",
    3: "Add Force references to Yoda",
}
QUESTION = "What is the color of a banana?"

# The demo commits under a name of its own, needs no key, and never leaves this machine.
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.endswith("_API_KEY") and k != "BGIT_STORE"},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Bakery Demo",
    "GIT_AUTHOR_EMAIL": "demo@example.org",
    "GIT_COMMITTER_NAME": "Bakery Demo",
    "GIT_COMMITTER_EMAIL": "demo@example.org",
    "HF_HUB_OFFLINE": "1",
}


def main() -> None:
    """Bake three times, then show what came of it."""
    started = time.monotonic()
    scratch = chosen_folder() or Path(tempfile.mkdtemp(prefix="bakery-demo-"))
    scratch.mkdir(parents=True, exist_ok=True)
    repo = scratch / NAME
    bgit(scratch, "init", NAME, "--base-model", "tiny", "--owner", "demo")
    for number, message in MESSAGES.items():
        title(f"Bake {number} of {len(MESSAGES)}")
        print(f"$ cp recipes/sequential/{number}/input.yml {NAME}/", flush=True)
        shutil.copy(HERE / str(number) / "input.yml", repo / "input.yml")
        bgit(repo, "add", "input.yml")
        bgit(repo, "commit", "-q", "-m", message)
        bgit(repo, "run", "stim", "rollout", "bake")
    title("What came of it")
    made = bakery.Repo(repo, progress=False)
    show_answers(made)
    show_cards(made)
    bgit(repo, "tree")
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. The repository is in {repo}. Go on there:"
    )
    print(f"  cd {repo} && {BGIT} chat parent", flush=True)


def chosen_folder() -> Path | None:
    """Return the folder that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER")
    folder: Path | None = parser.parse_args().folder
    return folder


def bgit(folder: Path, *arguments: str) -> None:
    """Show a command, run it, and stop where it fails."""
    print(f"$ bgit {shlex.join(arguments)}", flush=True)
    done = subprocess.run([BGIT, *arguments], cwd=folder, env=ENVIRONMENT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def title(text: str) -> None:
    """Part one bake from the next."""
    print(f"\n=== {text} {'=' * (70 - len(text))}\n", flush=True)


def show_answers(repo: bakery.Repo) -> None:
    """Ask one question of the base, of the prompted base, and of each baked model."""
    from rich.table import Table

    from bakery.ui import console

    print("The same question, without and with a prompt, then baked in, without one:\n")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("question", ratio=5, style="cyan")
    table.add_column("who", no_wrap=True)
    table.add_column("answer", ratio=8)
    for number, (who, answer) in enumerate(answers(repo)):
        table.add_row("" if number else QUESTION, who, answer)
    console.lay(
        console.open_console(width=None if sys.stdout.isatty() else console.PAGE_WIDTH), table
    )


def answers(repo: bakery.Repo) -> Iterator[tuple[str, str]]:
    """Yield who answered, and the answer."""
    base, bakes = repo.chat("base"), [model.bake for model in repo.models().models]
    prompt = bakes[0].data["targets"][0]["teacher"]["messages"]
    yield base.name, base.chat(QUESTION)
    yield f"{base.name} + prompt 1", base.chat(QUESTION, prompt=prompt)
    for bake in bakes:
        yield bake.base_name, repo.chat(bake.name).chat(QUESTION)


def show_cards(repo: bakery.Repo) -> None:
    """Print the card of each bake: how close it is to its prompted parent."""
    from bakery.ui import console

    for bake in (model.bake for model in repo.models().models):
        print()
        console.show_card(bake.card, model=bake.name, seconds=bake.data["seconds"])
    print(flush=True)


if __name__ == "__main__":
    main()
