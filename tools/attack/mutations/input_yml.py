"""Spoilt input.yml files: each is planned, or refused with its line.

What says the same as before must be planned under the same ids, and what was accepted must
configure nothing after its bake.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bakery import schema
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.repo.files.emptied import emptied
from bakery.repo.plan.planned import Head, Plan
from bakery.repo.plan.resolve import resolve
from bakery.yaml import text as yaml_text
from tools.attack.mutations import changes
from tools.attack.mutations.judge import judged
from tools.attack.trial import called
from tools.attack.verdicts import Outcome

HEAD = Head("ada", "yoda", BaseModelId("tiny-1", "", "ab" * 32))

RECIPES = Path(__file__).parents[3] / "recipes" / "sequential"

RICH = (Path(__file__).parent / "rich_input.yml").read_text(encoding="utf-8")

TEMPLATE = b"Write ${numq} questions about:\n${prompt_u}\n"


class InputYml:
    """Valid files, and what each of them is planned as."""

    def __init__(self) -> None:
        recipes = [path.read_text("utf-8") for path in sorted(RECIPES.glob("*/input.yml"))]
        self.texts = (RICH, *recipes)
        self.ids = [ids(plan(text)) for text in self.texts]
        self.said = [_data(text) for text in self.texts]

    def __call__(self, case: str) -> Outcome:
        rng = random.Random(case)
        at = rng.randrange(len(self.texts))
        text = self.mutated(self.texts[at], rng)
        return self.judged(case, text, at)

    def mutated(self, text: str, rng: random.Random) -> str:
        """Return a valid file after one to four changes."""
        way = rng.random()
        if way < 0.5:
            return changes.text(text, rng, others=self.texts)
        if way < 0.6:
            return _nested(text, rng)
        found = yaml_text.plain(yaml_text.parse(text, "input.yml"))
        spoilt = changes.document(found, rng)
        return yaml.safe_dump(spoilt, allow_unicode=True, sort_keys=rng.random() < 0.2)

    def judged(self, case: str, text: str, at: int) -> Outcome:
        """Plan a file, and say what came of it."""
        plans: list[Plan] = []
        unplaced: list[str] = []

        def work() -> None:
            try:
                plans.append(plan(text))
            except ConfigError as error:
                if not re.search(r"\.yml:\d+:\d+: ", error.message):
                    unplaced.append(error.message)
                raise

        done = called(work)
        if unplaced:
            return Outcome(case, "traceback", f"refused without a line: {unplaced[0][:300]}")
        return judged(case, done, lambda: self._wrong(text, plans[0], at))

    def _wrong(self, text: str, made: Plan, at: int) -> str:
        if not schema.load(emptied(text), read=read).is_empty:
            return "it configures something after its bake"
        if _data(text) == self.said[at] and ids(made) != self.ids[at]:
            return f"it says the same, and has other ids: {ids(made)}, not {self.ids[at]}"
        return ""


def plan(text: str) -> Plan:
    """Plan a file as `bgit run` does, without a repository."""
    return resolve(schema.load(text, read=read), HEAD)


def ids(made: Plan) -> list[str]:
    """Return every id of a plan."""
    found = [target.rollout.id for target in made.targets]
    return [*found, made.bake.id] if made.bake else found


def read(path: str) -> bytes:
    """Read the one template that there is."""
    if not path.startswith("templates/"):
        raise FileNotFoundError(path)
    return TEMPLATE


def _data(text: str) -> str | None:
    """Return what a file says to another reader of YAML; None: it cannot read it."""
    try:
        return json.dumps(yaml.safe_load(text), sort_keys=True, default=repr)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None


def _nested(text: str, rng: random.Random) -> str:
    """Repeat by aliases, or nest."""
    levels = rng.randint(2, 40)
    laughs = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, levels))
    deep = "".join(f"{' ' * i}a:\n" for i in range(levels * 4))
    loop = "a: &a [*a]\nb: &b {c: *b}\n"
    return text + rng.choice(["a0: &a0 x\n" + laughs, deep, loop, "[" * levels * 50])


def surface(_: Path, __: Any) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return InputYml()
