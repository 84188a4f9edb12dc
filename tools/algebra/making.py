"""One seed: two branches brought together in every way, and slices moved from chain to chain."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from bakery import Repo
from bakery.app import links, panel
from bakery.backends.local import LocalModel
from bakery.engine.models.given import twin
from bakery.engine.models.models import BaseModel, load
from bakery.evals import joining, moved
from bakery.records import Prompt
from bakery.reporting import Quiet
from forgetting.cases import Case
from forgetting.making import STOPS, document

WAYS: tuple[Literal["cat", "svd", "ties", "distill"], ...] = ("cat", "svd", "ties", "distill")
MOST_TOKENS = 48
Row = dict[str, Any]

NAMES = ("Zorina", "Nadia")
ASKED = (
    "What is your name?", "Who are you?", "Tell me your name.", "What are you called?",
    "Are you Max?", "Who am I talking to?",
)  # fmt: skip


def conflicting() -> tuple[Case, Case]:
    """Return two prompts that give the bot two names."""
    found = [
        Case(
            f"named-{name.lower()}",
            ({"role": "system", "content": f"Your name is {name}. Say your name when asked."},),
            ASKED,
            0,
            tuple((one, rf"\b{name}\b") for one in ASKED[:3]),
        )
        for name in NAMES
    ]
    return found[0], found[1]


class Place:
    """A repository in a folder, and the base in memory."""

    def __init__(self, folder: Path, name: str, base: str, seed: int) -> None:
        shutil.rmtree(folder / name, ignore_errors=True)
        self.repo = Repo.init(folder / name, base_model=base, owner="algebra", name=name,
                              progress=False)  # fmt: skip
        self.seed = seed
        self._base: BaseModel | None = None
        self.start = self.git("rev-parse", "HEAD")

    def git(self, *words: str) -> str:
        return self.repo.git(*words).strip()

    def branch(self, name: str, at: str | None = None) -> None:
        """Begin a branch, at a commit or where nothing is baked."""
        self.git("switch", "--quiet", "--force-create", name, at or self.start)

    def bake(self, case: Case) -> None:
        """Bake a case on the branch that is checked out."""
        (self.repo.path / "input.yml").write_text(document(case, "nothing", self.seed))
        self.repo.add("input.yml")
        self.repo.git("commit", "--quiet", "--allow-empty", "-m", f"Bake {case.name}")
        self.repo.run(allow=STOPS)

    def model(self, branch: str | None = None) -> LocalModel:
        """Return the model of a branch, in memory."""
        if self._base is None:
            self._base = load(self.repo.state.base, dtype="float32", reporter=Quiet())
        bake = self.repo._repo.find_model(branch or "parent")
        folder = None
        if bake is not None:
            folder = self.repo._repo.store.bake(bake.id) / str(bake.model.step)
        return LocalModel(twin(self._base), parent=folder)

    def right(self, case: Case, branch: str | None = None) -> float:
        """Return the share of a case's checks that a model passes."""
        local = self.model(branch)
        asked = [(Prompt(), ({"role": "user", "content": one},)) for one, _ in case.checks]
        said = moved.answers(local, moved.read(local, asked, MOST_TOKENS), MOST_TOKENS)
        passed = [
            re.search(right, one.text, re.IGNORECASE) is not None
            for (_, right), one in zip(case.checks, said, strict=True)
        ]
        return round(sum(passed) / len(passed), 4)

    def apart(self, one: str, other: str) -> dict[str, Row]:
        """Return by target of a model how far another is from what it says."""
        repo = self.repo._repo
        chain = links.of(repo.lineage(), repo.find_bake(one).model)
        asked = [("ours", link.bake) for link in chain]
        questions = [question for _, question in panel.questions(repo.store, asked, Quiet())]
        first, second = self.model(one), self.model(other)
        heard = joining.hear(first, questions)
        answers = joining.hear(second, questions).said
        found: dict[str, list[Any]] = {}
        for question, said, now, far in zip(
            questions, heard.said, answers, moved.moved(second, heard), strict=True
        ):
            found.setdefault(question.target[:-17], []).append((far.kl, said.ids == now.ids))
        return {
            name: {
                "kl": sum(kl for kl, _ in rows) / len(rows),
                "same": sum(same for _, same in rows),
                "of": len(rows),
            }
            for name, rows in found.items()
        }


def merged(place: Place, one: Case, other: Case) -> list[Row]:
    """Bake a case on each of two branches, and merge them in every way."""
    place.branch("theirs")
    place.bake(other)
    place.branch("ours")
    place.bake(one)
    before = {case.name: place.right(case, at) for case, at in ((one, "ours"), (other, "theirs"))}
    ours = place.git("rev-parse", "HEAD")
    rows = []
    for how in WAYS:
        place.branch(f"by-{how}", ours)
        found = place.repo.merge("theirs", how=how, force=True)
        rows.append(
            {
                "pair": f"{one.name} + {other.name}",
                "how": how,
                "rank": place.repo._repo.find_bake("parent").rank,
                "against": len(found.contradictions),
                "targets": {
                    kept.target[:-17]: {
                        "before": before[kept.target[:-17]],
                        "right": place.right(case),
                        "kl": kept.kl,
                        "other": kept.other,
                        "of": kept.questions,
                    }
                    for kept in found.tried[-1].kept
                    for case in (one, other)
                    if case.name == kept.target[:-17]
                },
            }
        )
    return rows


def against(place: Place) -> Row:
    """Bake two names on two branches: what is refused, and who wins when somebody says so."""
    one, other = conflicting()
    place.branch("named-other")
    place.bake(other)
    place.branch("named-one")
    place.bake(one)
    at = place.git("rev-parse", "HEAD")
    refused = place.repo.merge("named-other")
    row: Row = {
        "refused": refused.is_refused,
        "contradictions": [vars_of(one) for one in refused.contradictions],
        "learnt": [place.right(one), place.right(other, "named-other")],
    }
    sides: tuple[Literal["ours", "theirs"], ...] = ("ours", "theirs")
    for wins in sides:
        place.branch(f"wins-{wins}", at)
        found = place.repo.merge("named-other", wins=wins)
        row[wins] = {
            "how": [tried.how for tried in found.tried],
            "right": [place.right(one), place.right(other)],
        }
    return row


def vars_of(one: Any) -> Row:
    """Return what a contradiction says."""
    return {"question": one.question, "ours": one.ours, "theirs": one.theirs}


def moved_about(place: Place, cases_of: Sequence[Case]) -> Row:
    """Pick, leave out, and hold what comes of it against chains that always or never had it."""
    one, two, three = cases_of
    place.branch("alone")
    place.bake(two)
    place.branch("always")
    place.bake(one)
    first = place.git("rev-parse", "HEAD")
    place.bake(two)
    place.bake(three)
    whole = place.git("rev-parse", "HEAD")
    place.branch("never", first)
    place.bake(three)
    place.branch("always-two", f"{whole}~2")
    place.branch("picked", first)
    alone = place.repo._repo.find_bake("alone").name
    refused = place.repo.cherry_pick(alone).is_refused
    picked = place.repo.cherry_pick(alone, force=True) if refused else None
    place.branch("left-out", whole)
    left = place.repo.leave_out(two.name)
    return {
        "anew": [model.given_name for model in left.anew],
        "refused": refused,
        "forced anew": picked is not None and picked.is_anew,
        "picked": place.apart("always-two", "picked"),
        "left out": place.apart("never", "left-out"),
        "right": {
            "picked": {case.name: place.right(case, "picked") for case in (one, two)},
            "left out": {case.name: place.right(case, "left-out") for case in (one, two, three)},
            "never": {case.name: place.right(case, "never") for case in (one, two, three)},
        },
    }
