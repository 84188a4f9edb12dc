"""From what a person types to the model that is meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from bakery.errors import ConfigError, RepoError
from bakery.records import ModelRef, given_name
from bakery.repo.files import hosted, state
from bakery.repo.files.names import BREAD
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.state import State
from bakery.repo.git import Git
from bakery.repo.history.lineage import Lineage
from bakery.repo.history.missing import parent_not_found
from bakery.spelling import nearest
from bakery.strengths import Side, side_of

MIN_PREFIX = 4


def find(
    git: Git, here: State, lineage: Lineage, own: Collection[str], text: str
) -> RecordedBake | None:
    """Return the bake that `text` names; None for the base model.

    A name is a full model name, a bake's name or what input.yml called it, the beginning of its
    id, each of them with a step behind it or none, `parent` (the current model), `base`, or a
    revision of git: a tag, branch or `HEAD~1`. `own` are the ids of this branch's bakes; they win
    where the same name is on another, too.
    """
    if not text.strip():  # git takes what is before a colon for the index, where it is empty
        raise _unknown(text, here, lineage)
    if text in ("base", here.base.name):
        return None
    if text == "parent" and here.former_parent is not None:
        raise hosted.weights_elsewhere(here.former_parent)
    if text == "parent" and here.parent and here.parent.bake_id not in lineage.bakes:
        raise _reverted(git, str(here.parent)) or parent_not_found(here.parent, False)
    if text == "parent":
        return _recorded(git, here.parent, lineage)
    full = _full(text, lineage)
    if full is not None:
        return full
    matches = _matches(text, lineage.bakes.values(), own)
    is_revision, at_revision = _at_revision(git, text, lineage)
    if not matches and is_revision:
        return at_revision
    if at_revision is not None and at_revision not in matches:
        matches.append(at_revision)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise _ambiguous(text, matches)
    stepped = _stepped(text, lineage, own)
    if stepped is not None:
        return stepped
    if (said := side_of(text)) is not None:
        find(git, here, lineage, own, said.name)  # or that is what is wrong with it
        raise only_answering(said)
    raise _reverted(git, text) or _unknown(text, here, lineage)


def only_answering(said: Side) -> RepoError:
    """Return what to say of a strength, or of @prompted, where a recorded model is needed."""
    return RepoError(
        f"{said.name}{said.suffix} is {said.name} as it may answer, and here what was recorded "
        "is meant",
        hint=f"Name {said.name} alone. `bgit chat`, `test`, `eval` and bakery.load take "
        f"{said.suffix}.",
    )


def _full(text: str, lineage: Lineage) -> RecordedBake | None:
    try:
        model = ModelRef.parse(text)
    except ConfigError:
        return None
    bake = lineage.bakes.get(model.bake_id)
    return None if bake is None else _at_step(bake, model.step)


def _stepped(text: str, lineage: Lineage, own: Collection[str]) -> RecordedBake | None:
    """Return the bake of a name with a step behind it, as lists of models show it."""
    name, _, step = text.rpartition("/")
    if not name or not (step.isascii() and step.isdigit()):
        return None
    bakes = _matches(name, lineage.bakes.values(), own)
    having = [b for b in bakes if int(step) in [model.step for model in b.models]] or bakes
    if len(having) > 1:
        raise _ambiguous(text, having)
    return _at_step(having[0], int(step)) if having else None


def _at_step(bake: RecordedBake, step: int) -> RecordedBake:
    """Return a bake with the model of one step alone."""
    steps = {known.step: known for known in bake.models}
    if step not in steps:
        raise RepoError(
            f"{bake.name} has no step {step}",
            hint="It has: " + ", ".join(map(str, bake.models)),
        )
    return replace(bake, models=(steps[step],))


def _ambiguous(text: str, bakes: Iterable[RecordedBake]) -> RepoError:
    return RepoError(f"{text!r} may mean:\n" + _listed(bakes), hint="Give the whole name.")


def _matches(text: str, bakes: Iterable[RecordedBake], own: Collection[str]) -> list[RecordedBake]:
    bakes = list(bakes)
    named = [b for b in bakes if text in (b.name, b.id)]
    if named:
        return named
    called = [b for b in bakes if b.base_name == text]
    started = [b for b in bakes if len(text) >= MIN_PREFIX and b.id.startswith(text.lower())]
    return ([b for b in called if b.id in own] or called) + [b for b in started if b not in called]


def _at_revision(git: Git, text: str, lineage: Lineage) -> tuple[bool, RecordedBake | None]:
    """Tell whether a revision of git is meant, and return the model that was current there."""
    if text.startswith("-") or any(c.isspace() for c in text):
        return False, None
    blob = git.blob(f"{text}:{BREAD}")
    if blob is None:
        return False, None
    there = state.parse(blob.text, f"{text}:{BREAD}")
    if there.former_parent is not None:
        raise hosted.weights_elsewhere(there.former_parent)
    return True, _recorded(git, there.parent, lineage)


def _recorded(git: Git, model: ModelRef | None, lineage: Lineage) -> RecordedBake | None:
    if model is None:
        return None
    bake = lineage.bakes.get(model.bake_id)
    if bake is None:
        raise _reverted(git, str(model)) or RepoError(
            f"{model} is in no branch's recipe.yml",
            hint="`git log --all -p -- recipe.yml` shows where it was recorded.",
        )
    return replace(bake, models=(model,)) if model in bake.models else bake


def _reverted(git: Git, text: str) -> RepoError | None:
    """Return what to say of a bake that this branch took back; None where none has that name."""
    # None: there is no commit yet.
    log = git.ask("log", "--no-show-signature", "--grep=^Reverts: ", "--format=%x00%h%n%B") or ""
    for entry in log.split("\0")[1:]:
        commit, _, message = entry.partition("\n")
        for model in _taken_back(message):
            if text in (model.bake, model.given_name, model.bake_id, str(model)):
                return RepoError(
                    f"{model} was taken back, by commit {commit}",
                    hint=f"`bgit revert {commit}` brings it back; so does `bgit run` with the "
                    "same input.yml, without training.",
                )
    return None


def _taken_back(message: str) -> Iterator[ModelRef]:
    for line in message.splitlines():
        with suppress(ConfigError):
            if line.startswith("Reverts: "):
                yield ModelRef.parse(line.removeprefix("Reverts: "))


def _unknown(text: str, here: State, lineage: Lineage) -> RepoError:
    for known in lineage.former:
        if text in (known.name, given_name(known.name), *known.models):
            return hosted.weights_elsewhere(text)
    bakes = list(lineage.bakes.values())
    if not bakes:
        return RepoError(
            f"there is no model {text!r}: nothing is baked here yet",
            hint=f"`base` is {here.base.name}; `bgit run` bakes the first.",
        )
    names = {name: bake for bake in bakes for name in (bake.name, bake.base_name)}
    places = [place.name for place in lineage.branches]
    near = nearest(text, [*names, *places, "base", "parent"], most=3)
    others = [name for name in near if name not in names]
    candidates = list({names[n].id: names[n] for n in near if n in names}.values())
    meant = "".join(f"  {name}\n" for name in others)
    listed = _listed(candidates or ([] if others else bakes[-5:]))
    return RepoError(
        f"there is no model {text!r}",
        hint=f"There are:\n{meant}{listed}".rstrip() + "\n`bgit tree` shows all.",
    )


def _listed(bakes: Iterable[RecordedBake]) -> str:
    return "\n".join(f"  {bake.model}" for bake in bakes)
