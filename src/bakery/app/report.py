"""All that is known of a bake, for one page that people look at; read from files alone.

What a newer version measures beside (tests, evaluations) is taken as it lies there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.app import stored
from bakery.card import Card
from bakery.errors import BakeryError, ConfigError
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import metrics, show
from bakery.repo.look import tests as look
from bakery.repo.look.metrics import History
from bakery.repo.look.show import Described
from bakery.repo.model_repo import ModelRepo
from bakery.store import results
from bakery.verdict import SideBySide

EVALS = "eval*.json"
"""What stands beside a bake where it was evaluated."""


_TOLD = (
    "training", "loss", "seconds", "notes", "allowed", "gate", "backend", "versions", "numerics",
    "started", "finished",
)  # fmt: skip
"""What of a record stands in the data as it is."""

FIRST = 3
"""Questions of a bake that are shown where no answer differs."""


@dataclass(frozen=True, slots=True)
class Link:
    """One bake of the chain that a model is made of."""

    model: ModelRef
    card: Card | None
    """None: its record does not say how near it came."""
    record: Mapping[str, Any]
    """What is recorded of it: bake.json where this clone has it, else its block of recipe.yml."""

    @property
    def name(self) -> str:
        """What input.yml called the bake."""
        return self.model.given_name

    @property
    def targets(self) -> list[Mapping[str, Any]]:
        """What was baked in: each with its prompts."""
        return list(self.record["targets"])

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        prompts = ("name", "id", "weight", "teacher", "student", "variables")
        return {
            "model": str(self.model),
            "card": self.card.as_data() if self.card else None,
            "targets": [
                {key: plain(target[key]) for key in prompts if key in target}
                for target in self.targets
            ],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """A bake with all that its page shows."""

    described: Described
    base: Mapping[str, Any]
    chain: tuple[Link, ...]
    """Oldest first; the last is the bake itself."""
    history: History
    """Of its training; without points where this clone does not have them."""
    tests: Mapping[str, Any] | None
    """What the user's own tests said; None: nobody ran any."""
    evals: Mapping[str, Mapping[str, Any]]
    """What evaluations measured, by their name."""
    asked: tuple[SideBySide, ...]
    """The first questions of the verdict; empty: this clone does not have them."""
    adapter_bytes: int | None
    """None: the weights are not in this clone."""

    @property
    def link(self) -> Link:
        """The bake itself."""
        return self.chain[-1]

    @property
    def card(self) -> Card | None:
        """Its card."""
        return self.link.card

    @property
    def record(self) -> Mapping[str, Any]:
        """What is recorded of it."""
        return self.link.record

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit report --json` prints."""
        found, card = self.described, self.card
        told = {key: self.record[key] for key in _TOLD if key in self.record}
        return {
            "schema": 1,
            "name": found.bake.name,
            "model": str(found.bake.model),
            "base": plain(self.base),
            "commit": found.commit,
            "branches": list(found.branches),
            "tags": list(found.tags),
            "verdict": card.verdict.as_data() if card and card.verdict else None,
            "card": card.as_data() if card else None,
            "targets": plain(self.link.targets),
            "chain": [link.as_data() for link in self.chain],
            "lost_parent": str(found.lost) if found.lost else None,
            "tests": plain(self.tests),
            "evals": plain(self.evals),
            "metrics": self.history.as_data()["metrics"],
            "digest": found.bake.digest_of(found.bake.model.step),
            "adapter_bytes": self.adapter_bytes,
            **plain(told),
        }


def report(repo: ModelRepo, model: str = "parent", *, tests: Path | None = None) -> Report:
    """Gather what a model's page shows; RepoError for the base, which was not baked.

    `tests` is a file with what `bgit test --json` printed; None: what the store has, if anything.
    """
    given = None if tests is None else _given(tests)
    found = show.describe(repo, repo.find_bake(model))
    bake, folder = found.bake, repo.store.bake(found.bake.id)
    link = _link(repo, bake)
    chain = (*(_link(repo, one) for one in found.chain[:-1]), link)
    weights = found.folder / results.WEIGHTS
    of_bake = link.record.get("tests")  # only their id in git, where they are not run with it
    kept = of_bake if isinstance(of_bake, Mapping) else _tested(repo, folder, bake.model.step)
    return Report(
        found,
        link.record.get("base") or plain(repo.state().base),
        chain,
        _history(bake.name, folder / results.METRICS),
        given or kept,
        {path.stem: told for path in sorted(folder.glob(EVALS)) if (told := results.seen(path))},
        _asked(folder),
        weights.stat().st_size if weights.is_file() else None,
    )


def untested(repo: ModelRepo, found: Report) -> str | None:
    """Return how the tests of HEAD come into a report that has none; None: HEAD has no tests."""
    if found.tests is not None:
        return None
    try:
        of_head = look.committed(repo)
    except ConfigError as error:
        return look.unreadable(error)
    if of_head is None or not of_head.suite.tests:
        return None
    return (
        f"the tests of HEAD were not run with this model, or were others then: `bgit test "
        f"{found.described.bake.name}` runs them, and `--tests FILE` shows results of before"
    )


def _tested(repo: ModelRepo, folder: Path, step: int) -> Mapping[str, Any] | None:
    """Return what a model came to in the tests that HEAD has now; None: they were not run."""
    found = results.seen(folder / results.TESTED)
    if found is None or found.get("step", step) != step:
        return None
    try:
        of_head = look.committed(repo)
    except ConfigError:  # nobody can tell which they are: `untested` says so
        return None
    return found if of_head is not None and found.get("blob") == of_head.blob else None


def _given(path: Path) -> Mapping[str, Any]:
    try:
        return json_file.load_object(path)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} holds no results of tests: {error}",
            hint="`bgit test --json > results.json` writes them, in a file of their own; then "
            "`--tests results.json` shows them.",
        ) from error


def _asked(folder: Path) -> tuple[SideBySide, ...]:
    """Return the first questions that a bake was asked, with their answers."""
    try:
        lines = islice(json_file.lines(folder / results.ASKED), FIRST)
        rows = [json_file.parse(line) for _, line in lines]
        return tuple(
            SideBySide(**{key: str(row.get(key) or "") for key in _OF_ANSWER}) for row in rows
        )
    except (OSError, ValueError, AttributeError):  # not here, or not whole
        return ()


_OF_ANSWER = ("question", "base", "prompted", "baked", "differs")


def _link(repo: ModelRepo, bake: RecordedBake) -> Link:
    """Return what is known of a bake: bake.json says more than the recipe, where it is whole."""
    record = dict(bake.data)
    if stored.is_bake_told(repo, bake):
        told = results.seen(repo.store.bake(bake.id) / results.RESULT) or {}
        # What both say stands in the recipe, which git keeps; a card may be larger in bake.json.
        record = {**told, **record, **({"card": told["card"]} if _card(told.get("card")) else {})}
    return Link(bake.model, _card(record.get("card")), record)


def _card(data: Any) -> Card | None:
    """Return a card; None where there is none, or none that can be read."""
    try:
        card = Card.from_data(data) if data else None
    except (TypeError, KeyError, ValueError, AttributeError):  # rows of another shape
        return None
    return card if card is not None and _is_sound(card) else None


def _is_sound(card: Card) -> bool:
    """Tell whether every figure of a card is one: bake.json may come from a stranger."""
    own = (card.held_out, card.tokens, card.kl_before, card.kl_after, card.gap_closed,
           card.top1_agreement, card.prompt_tokens_saved, card.prompt_tokens_left)  # fmt: skip
    far = [figure for one in card.furthest for figure in (one.kl_before, one.kl_after)]
    asked = [figure for one in card.coverage for figure in (one.asked, one.gap_closed)]
    return all(map(_is_figure, (*own, *far, *asked))) and all(map(_is_sound, card.targets.values()))


def _is_figure(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (is_number and math.isfinite(value))


def _history(bake: str, path: Path) -> History:
    try:
        return metrics.read(bake, path)
    except BakeryError:  # damaged: the page is for what there is
        return History(bake, ())
