"""Two models by what is in their weights, and by what they say: `bgit diff` beyond recipes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bakery.app import blame, stored
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.plain import Plain, plain
from bakery.records import Prompt, user_text
from bakery.repo.look import diff as look
from bakery.repo.look.diff import Comparison, Side
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import results
from bakery.variables import filled

if TYPE_CHECKING:
    from bakery.backends.local import LocalModel
    from bakery.engine.models.deltas import Delta
    from bakery.engine.models.models import BaseModel
    from bakery.evals.moved import Heard
    from bakery.records import Message

T = TypeVar("T")

MOST_QUESTIONS = 24
"""That both models are asked."""


@dataclass(frozen=True, slots=True)
class Part:
    """A layer, a kind of module or a matrix: how far apart, and its share of the squared whole."""

    name: str
    apart: float
    share: float
    old: float
    new: float
    """Norms of what each model adds to the base there."""


@dataclass(frozen=True, slots=True)
class Weights(Plain):
    """The norm of the difference of what two models add to the base, and where it is."""

    whole: Part
    layers: tuple[Part, ...]
    modules: tuple[Part, ...]
    matrices: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """One question to both. `kl` is KL(new ‖ old) over the tokens of the new answer, in nats."""

    question: str
    target: str
    old: str
    new: str
    kl: float
    worst: float
    is_same: bool


@dataclass(frozen=True, slots=True)
class Behaviour(Plain):
    """What both models answered, what moved most first."""

    kl: float
    """The mean of the questions."""
    same: int
    """How many answers are the same, token for token."""
    asked: tuple[Said, ...]
    from_store: bool
    """Whether the questions are those of the models' targets; else they are general ones."""


@dataclass(frozen=True, slots=True)
class Differed:
    """Two models. `recipes` None: one is the base; the others: not asked for."""

    old: str
    new: str
    recipes: Comparison | None
    weights: Weights | None
    behaviour: Behaviour | None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit diff --json` prints: of the recipes, and what else was asked for."""
        found = self.recipes.as_data() if self.recipes else {"schema": 1}
        asked = {"weights": self.weights, "behaviour": self.behaviour}
        more = {key: plain(value) for key, value in asked.items() if value is not None}
        return {**found, "old": self.old, "new": self.new, **more}


def diff(
    repo: ModelRepo,
    words: Sequence[str],
    *,
    weights: bool = False,
    behaviour: bool = False,
    reporter: Reporter,
) -> Differed:
    """Compare two models, or one with the model that it was baked on; the base, too."""
    found = look.sides(repo, words or ("parent",))
    assert found is not None  # they are surely models
    old, new = found
    if old.model == new.model:
        raise ConfigError(
            f"{_named(repo, new)} is the same model on both sides",
            hint="`bgit models` lists the others.",
        )
    if weights or behaviour:
        _refuse_two_bases(repo, old, new)
    folders = [stored.weights(repo, side.model) if side.model else None for side in found]
    return Differed(
        _named(repo, old),
        _named(repo, new),
        look.of_sides(repo, old, new),
        weighed(*folders) if weights else None,
        _heard(repo, old, new, folders, reporter) if behaviour else None,
    )


def _base_of(repo: ModelRepo, side: Side) -> BaseModelId:
    return repo.base_of(side.bake) if side.bake else repo.state().base


def _refuse_two_bases(repo: ModelRepo, old: Side, new: Side) -> None:
    """Refuse weights and answers of models on two bases: they have no layer in common."""
    first, second = _base_of(repo, old), _base_of(repo, new)
    if first.digest != second.digest:
        raise ConfigError(
            f"{_named(repo, old)} lies on {first.name}, and {_named(repo, new)} on {second.name}",
            hint="`bgit diff` alone compares their recipes, `bgit test` and `bgit report` what "
            "each answers.",
        )


def _named(repo: ModelRepo, side: Side) -> str:
    return str(side.model) if side.model else repo.state().base.name


_BLOCK = re.compile(r"\.(\d+)\.")


def weighed(old: Path | None, new: Path | None) -> Weights:
    """Return how far two adapters are apart, matrix by matrix and in sums."""
    from bakery.engine.models.deltas import deltas

    found = deltas(old, new)
    whole = _part("all", found, sum(one.apart**2 for one in found))

    def parts(name_of: Callable[[str], str]) -> tuple[Part, ...]:
        names = dict.fromkeys(name_of(one.name) for one in found)
        rows = {name: [one for one in found if name_of(one.name) == name] for name in names}
        return tuple(_part(name, own, whole.apart**2) for name, own in rows.items())

    return Weights(
        whole,
        tuple(sorted(parts(_layer), key=_place)),
        tuple(sorted(parts(lambda name: name.rpartition(".")[2]), key=lambda p: -p.apart)),
        tuple(sorted(parts(lambda name: name), key=lambda p: -p.apart)),
    )


def _layer(name: str) -> str:
    """Return the number of the layer that a matrix is in; outside of all, its own name."""
    found = _BLOCK.search(f"{name}.")
    return found[1] if found else name


def _place(part: Part) -> tuple[bool, int, str]:
    number = part.name.isdecimal()
    return not number, int(part.name) if number else 0, part.name


def _part(name: str, rows: Sequence[Delta], whole: float) -> Part:
    apart, old, new = (
        sum(getattr(one, key) ** 2 for one in rows) for key in ("apart", "old", "new")
    )
    return Part(name, apart**0.5, apart / whole if whole else 0.0, old**0.5, new**0.5)


@dataclass(frozen=True, slots=True)
class _Question:
    target: str
    prompt: Prompt
    messages: tuple[Message, ...]


def _heard(
    repo: ModelRepo,
    old: Side,
    new: Side,
    folders: Sequence[Path | None],
    reporter: Reporter,
) -> Behaviour:
    """Ask both models, one adapter after the other on one base."""
    from bakery.defaults import defaults_for
    from bakery.engine.models import models
    from bakery.evals import moved

    asked = list(_questions(repo, (new, old)))
    from_store = bool(asked)
    asked = asked or [_Question("", Prompt(), blame.asked(text)) for text in _general()]
    base_id = _base_of(repo, new)
    reporter.note(f"loading {_named(repo, old)} and {_named(repo, new)}")
    base = models.load(base_id, dtype=defaults_for(base_id).dtype, reporter=reporter)
    rows = [(one.prompt, one.messages) for one in asked]
    most = blame.MOST_TOKENS
    prefixes = _on(base, None, lambda local: moved.read(local, rows, most))
    reporter.progress("asking", 0, 2, _named(repo, old))
    before, exact = _on(
        base,
        folders[0],
        lambda local: (moved.answers(local, prefixes, most), moved.heads_are_the_base_s(local)),
    )
    reporter.progress("asking", 1, 2, _named(repo, new))

    def hear(local: LocalModel) -> Heard:
        whole = not (exact and moved.heads_are_the_base_s(local))
        return moved.hear(local, prefixes, most, whole=whole)

    heard = _on(base, folders[1], hear)
    apart = _on(base, folders[0], lambda local: moved.moved(local, heard))
    reporter.progress("asking", 2, 2)
    found = [
        Said(user_text(one.messages), one.target, then.text, now.text, by.kl, by.worst,
             then.ids == now.ids)
        for one, then, now, by in zip(asked, before, heard.said, apart, strict=True)
    ]  # fmt: skip
    found.sort(key=lambda one: -one.kl)
    kl = sum(one.kl for one in found) / len(found)
    return Behaviour(kl, sum(one.is_same for one in found), tuple(found), from_store)


def _on(base: BaseModel, folder: Path | None, ask: Callable[[LocalModel], T]) -> T:
    """Return what is asked of a base that carries an adapter; it is taken off again."""
    from bakery.backends.local import LocalModel

    local = LocalModel(base, parent=folder)
    try:
        return ask(local)
    finally:
        if folder is not None:
            local.model.unload()


def _questions(repo: ModelRepo, sides: Sequence[Side]) -> Iterator[_Question]:
    """Yield questions of the models' targets, as many of each, as far as they are here."""
    targets: dict[str, Any] = {}
    for side in sides:
        for target in side.bake.data["targets"] if side.bake else ():
            targets.setdefault(target["stim_id"], target)
    rows = {
        key: results.stimuli(repo.store.stim(key))
        for key in targets
        if (repo.store.stim(key) / results.STIMULI).is_file()
    }
    each = max(1, MOST_QUESTIONS // max(1, sum(bool(found) for found in rows.values())))
    seen = set()
    for key, found in rows.items():
        student = Prompt.from_data(targets[key]["student"])
        for row in found[:each]:
            if (text := user_text(row.messages)) not in seen:
                seen.add(text)
                own = filled(student, row.values)
                yield _Question(str(targets[key]["name"]), own, tuple(row.messages))


def _general() -> Sequence[str]:
    from bakery.stages.look import GENERAL

    return GENERAL
