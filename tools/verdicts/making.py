"""One bake as a user makes it, and what the verdict saw and the exam says of it."""

from __future__ import annotations

import json
import re
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bakery import Repo
from bakery.backends.local import LocalModel
from bakery.engine.models import models
from bakery.engine.models.strength import Dial
from bakery.evals.sides import of_bake
from bakery.identity import BaseModelId
from bakery.records import Prompt, user_text
from bakery.store import results
from verdicts import ways
from verdicts.exams import Case

MOST_TOKENS = 64
STOPS = ("questions", "teacher")


@dataclass(frozen=True, slots=True)
class Made:
    """A bake: how it was made, what its card says, what it was asked, and its exam."""

    case: str
    way: str
    base: str
    asked: list[dict[str, Any]]
    card: dict[str, Any]
    exam: int
    prompted: int
    baked: int
    both: int
    """Questions of the exam that both pass."""
    cpu_s: float

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def made(case: Case, way: str, folder: Path, *, base: str = "tiny") -> Made:
    """Bake a case in one way in a new folder, which is removed again, and hold its exam."""
    clock = time.process_time()
    shutil.rmtree(folder, ignore_errors=True)
    repo = Repo.init(folder, base_model=base, owner="verdicts", name="v", progress=False)
    if way.endswith("defaults 1"):
        state = folder / ".bread"
        state.write_text(re.sub(r"(?m)^defaults = \d+$", "defaults = 1", state.read_text()))
        repo.add(".bread")
        repo.commit("Plan by the first defaults")
    if way == ways.CONFLICT:
        _run(repo, ways.before(case))
    _run(repo, ways.WAYS[way](case))
    bake = repo.show("parent").bake
    store = repo._repo.store.bake(bake.id)  # the files of a bake, as they lie
    asked = [json.loads(line) for line in (store / results.ASKED).read_text().splitlines()]
    found = results.result(store)
    assert found is not None  # it was made above
    learnt = {user_text(row.messages) for row in repo.stim().rows} | {
        row["question"] for row in asked
    }
    prompted, baked, both, count = _exam(case, store, found, learnt)
    shutil.rmtree(folder, ignore_errors=True)
    spent = round(time.process_time() - clock, 1)
    own = (asked, found["card"], count, prompted, baked, both, spent)
    return Made(case.name, way, base, *own)


def _run(repo: Repo, document: ways.Document) -> None:
    (repo.path / "input.yml").write_text(json.dumps(document, indent=1))
    repo.add("input.yml")
    repo.commit("Bake")
    repo.run(allow=STOPS)


def _exam(
    case: Case, store: Path, found: dict[str, Any], learnt: set[str]
) -> tuple[int, int, int, int]:
    """Return how many fresh questions the prompted model passes, the bake, both; and how many."""
    folder = store / str(found["step"])
    base = models.load(BaseModelId(**found["base"]), dtype="float32")
    local = LocalModel(base, parent=folder)
    teacher = Prompt(case.messages)
    sides = of_bake(local, Dial(local.model, folder), teacher, Prompt())
    fresh = {check.question: check for check in case.exam if check.question not in learnt}
    asked = [({"role": "user", "content": question},) for question in fresh]
    passed = []
    for side in ("prompted", "baked"):
        said = sides.say(side, asked, MOST_TOKENS)
        passed.append([c.passes(one.text) for c, one in zip(fresh.values(), said, strict=True)])
    both = sum(one and other for one, other in zip(*passed, strict=True))
    return sum(passed[0]), sum(passed[1]), both, len(fresh)
