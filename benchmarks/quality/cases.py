"""What is baked: a prompt, questions to learn it on, others to measure on, others to judge.

Both models get as much; every side gets the very same.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from bakery.identity import short_id
from bakery.records import Message
from benchmarks.results import ROOT

TRAINED, HELD_OUT, FRESH = 48, 20, 20
"""Questions that are learnt, measured and judged."""
LONG_QUESTIONS = 16

EVERYBODY = ("ours", "ours_v1", "ours_as_trl", "trl_tuned", "trl", "seed", "fine_tuning")
NAMES = {
    "ours": "bakery",
    "ours_v1": "bakery, defaults 1",
    "ours_as_trl": "bakery, TRL's rate",
    "trl_tuned": "TRL SDFT, tuned",
    "trl": "TRL SDFT",
    "seed": "the seed's loop",
    "fine_tuning": "plain fine-tuning",
}
"""Each side as people read it; in the order of a table."""

QUESTIONS = ROOT / "src" / "bakery" / "generators" / "persona.txt"
REAL = ROOT / "recipes" / "real"
EXAMS = ROOT / "build" / "quality"


@dataclass(frozen=True, slots=True)
class Case:
    """One bake, for all sides."""

    name: str
    title: str
    base: str
    """`real`, or `tiny`."""
    prompt: tuple[Message, ...]
    train: tuple[str, ...]
    held_out: tuple[str, ...]
    fresh: tuple[str, ...]
    right: Callable[[int, str], bool]
    """Whether an answer to the fresh question of a number is as the prompt wants it."""
    answer: int
    """Most tokens of an answer."""
    budget_s: float
    """CPU seconds after which a side is stopped."""
    sides: tuple[str, ...] = EVERYBODY
    epochs: int | None = None
    """None: as many as a side takes by itself."""
    followed: bool = True
    """Whether quality is measured on the way; else only at the end, so that nothing else costs."""

    @property
    def exam(self) -> Path:
        """Where its exam is kept, without the end of its files' names.

        Cases that ask the same of the same model share one.
        """
        asked = [list(self.prompt), self.held_out, self.answer]
        return EXAMS / f"{self.base}-{short_id(asked)}"


def all_cases() -> tuple[Case, ...]:
    """Return every case, the cheapest first."""
    return (_tiny(), _persona(), _long(1), _long(3))


def named(name: str) -> Case:
    """Return a case by its name."""
    return next(case for case in all_cases() if case.name == name)


def _persona() -> Case:
    from recipes.real import judge

    asked = judge.checks("persona")[:FRESH]
    messages, written = _of_recipe(REAL / "persona" / "input.yml")
    train, held_out = _shared_out(written, {question for question, _ in asked})
    return Case(
        "persona",
        "SmolLM2-135M, a persona",
        "real",
        messages,
        train,
        held_out,
        tuple(question for question, _ in asked),
        lambda number, answer: judge.is_right(answer, asked[number][1]),
        answer=40,
        budget_s=300.0,
    )


def _long(epochs: int) -> Case:
    """Return the case that is about cost: a long prompt, few questions, short answers."""
    short = _persona()
    text = (Path(__file__).parent / "captain.txt").read_text(encoding="utf-8")
    system: Message = {"role": "system", "content": " ".join(text.split())}
    return Case(
        f"long-{epochs}",
        f"300 tokens of prompt, {epochs} epoch{'s' * (epochs > 1)}",
        "real",
        (system, *short.prompt[1:]),
        short.train[:LONG_QUESTIONS],
        short.held_out,
        (),
        short.right,
        answer=32,
        budget_s=float("inf"),
        sides=("ours", "trl_tuned"),
        epochs=epochs,
        followed=False,
    )


def _tiny() -> Case:
    tools = str(ROOT / "tools")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    from tinyworld.exam import tutorial_questions
    from tinyworld.judges import is_yoda

    messages, _ = _of_recipe(ROOT / "recipes" / "sequential" / "1" / "input.yml")
    drawn = tutorial_questions(TRAINED + HELD_OUT + FRESH, seed=7)
    texts = tuple(question.text for question in drawn)
    fresh = drawn[TRAINED + HELD_OUT :]
    return Case(
        "tiny",
        "tiny, Yoda",
        "tiny",
        messages,
        texts[:TRAINED],
        texts[TRAINED : TRAINED + HELD_OUT],
        texts[TRAINED + HELD_OUT :],
        lambda number, answer: is_yoda(fresh[number], answer),
        answer=40,
        budget_s=40.0,
    )


@functools.cache
def _of_recipe(path: Path) -> tuple[tuple[Message, ...], tuple[str, ...]]:
    """Return the prompt of a recipe, and the questions that are written out in it."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    written = [g for g in data["TARGET"]["generators"] if g["type"] == "hardcoded"]
    questions = tuple(question for one in written for question in one["questions"])
    return tuple(data["PROMPT"]["teacher"]["messages"]), questions


def _shared_out(written: Sequence[str], fresh: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is learnt (all that is written out, and others) and what is held out.

    The others are spread evenly over the product's own list of questions.
    """
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    taken = {*written, *fresh}
    free = [line for line in lines if line.strip() and line[0] != "#" and line not in taken]
    count = TRAINED - len(written) + HELD_OUT
    drawn = [free[i * len(free) // count] for i in range(count)]
    # Alternately, so that both are of all kinds; what is over is learnt.
    held_out = drawn[: 2 * HELD_OUT : 2]
    train = [question for question in drawn if question not in held_out]
    return (*written, *train), tuple(held_out)
