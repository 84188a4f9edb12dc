"""`type: persona`: questions of this project's own that show who it is that answers.

They lie in `persona.txt`, by theme. Any number of them covers all themes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from bakery.generators.base import Round, Task, take

WRITER = "bakery"


def write(task: Task) -> Iterator[Round]:
    """Yield `numq` questions in the order that the seed gives them."""
    wanted = task.generator["numq"]
    yield take(task, drawn(task.generator["seed"]), wanted, writer=WRITER)
    if len(task.own) < wanted:
        task.note(
            f"persona gave {len(task.own)} questions of {wanted}: "
            "other generators have written the rest already"
        )


def drawn(seed: int) -> list[str]:
    """Return all questions in the order of a seed: from each theme in turn."""
    shuffled = [
        random.Random(f"{seed}/{theme}").sample(questions, len(questions))
        for theme, questions in themes().items()
    ]
    return [text for turn in zip_longest(*shuffled) for text in turn if text is not None]


def themes() -> dict[str, list[str]]:
    """Return the questions by theme."""
    found: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("persona.txt").read_text("utf-8").splitlines():
        if line.startswith("# "):
            found[line[2:]] = mine = []
        elif line.strip():
            mine.append(line.strip())
    return found
