"""Draws docs/run.svg, the picture of the README: a real run, as a terminal shows it.

python tools/picture.py      # or: make picture
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from recipes.sequential.run import BGIT, ENVIRONMENT

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "run.svg"
WIDTH = 84
QUESTION = "What is the color of a banana?"


def main() -> None:
    """Bake a prompt in a scratch folder, and draw what the commands answered."""
    with tempfile.TemporaryDirectory(prefix="bakery-picture-") as scratch:
        repo = Path(scratch) / "yoda"
        said(Path(scratch), "init", "yoda", "--owner", "demo")
        shutil.copy(ROOT / "recipes/sequential/1/input.yml", repo)
        said(repo, "commit", "-q", "-m", "Speak like Yoda", "input.yml")
        told = said(repo, "run")
        shown = [
            ("bgit run", told),
            (f'echo "{QUESTION}" | bgit chat base', said(repo, "chat", "base", stdin=QUESTION)),
            (f'echo "{QUESTION}" | bgit chat', said(repo, "chat", stdin=QUESTION)),
        ]
    PICTURE.write_text(drawn(shown), encoding="utf-8")
    print(f"written: {PICTURE.relative_to(ROOT)}")


def said(folder: Path, *words: str, stdin: str = "") -> str:
    """Run a bgit command that has to succeed; return what it said."""
    done = subprocess.run(
        [BGIT, *words],
        cwd=folder,
        input=stdin,
        env={**ENVIRONMENT, "COLUMNS": str(WIDTH)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip("\n")


def drawn(shown: list[tuple[str, str]]) -> str:
    """Return commands with their answers as an SVG that fetches nothing."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    for command, answer in shown:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text(answer + "\n"), soft_wrap=False)
    svg = console.export_svg(title="bgit", unique_id="run")
    # Its fonts lie on a server: the reader's own are as good.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    main()
