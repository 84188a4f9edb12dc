"""One bake out of the middle of a chain: `bgit revert --only`.

The later ones keep their slices, on another parent: what they learnt on top of the one that goes is
looked at, and where it leant on that one, they are baked anew from their recipes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import joining, links, panel, replaying
from bakery.app.joining import Joined, Wanted
from bakery.app.links import Link
from bakery.app.panel import Panel
from bakery.errors import RepoError
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.commits import checks, join, revert
from bakery.repo.files import recipe
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Lineage
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.kept import Kept


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What became of it. `model` None: the base model is what is left."""

    bake: str
    before: ModelRef
    model: ModelRef | None
    base: str
    commit: str
    moved: tuple[ModelRef, ...]
    """The later bakes, as they are now."""
    anew: tuple[ModelRef, ...]
    """Those of them that leant on the one that is gone, and were baked anew."""
    kept: tuple[Kept, ...]
    """What is left of each target, held against the model before."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit revert --only --json` prints."""
        names = ("bake", "before", "model", "base", "commit", "moved", "anew")
        data: dict[str, Any] = {name: plain(getattr(self, name)) for name in names}
        return {"schema": 1, **data, "kept": [one.as_data() for one in self.kept]}


def leave_out(repo: ModelRepo, name: str, *, reporter: Reporter) -> LeftOut:
    """Take one bake out of the current chain, and leave those that were baked on it."""
    began = checks.stand(repo.git)
    repo.check_parent()
    now, lineage = repo.state(), repo.lineage()
    bake = repo.find_bake(name)
    chain = links.of(lineage, now.parent)
    at = next((i for i, link in enumerate(chain) if link.bake.id == bake.id), None)
    if at is None or now.parent is None:
        for link in chain:
            if any(key.startswith(bake.id) for key in links.within(lineage, (link,))):
                raise RepoError(
                    f"{bake.name} is in the current model as a part of {link.bake.name}",
                    hint=f"`bgit revert --only {link.bake.name}` takes all of that out.",
                )
        raise RepoError(
            f"{bake.name} is no part of the current model {now.parent or now.base.name}",
            hint="`bgit tree` shows what it was made of.",
        )
    later = chain[at + 1 :]
    left, before = chain[:at], chain[at].bake.instead_of
    if before is not None and before.bake_id in {own.id for own in repo.bakes()}:
        left = links.of(lineage, before)
    looked = _panel(repo, chain, at, reporter)
    parent = left[-1].model if left else None
    made = _moved(repo, later, parent, looked, reporter)
    kept = made[-1].kept if made else ()
    leaning = _leaning(later, kept)
    bakes = [_recorded(repo, one) for one in made[:leaning]]
    below = [*(link.bake for link in left), *bakes]
    if leaning < len(later):
        bakes += _baked_anew(repo, later[leaning:], below, reporter)
        kept = tuple(looked.kept(_folder(repo, bakes[-1]))[0])
    model = bakes[-1].model if bakes else parent
    gone, blocks = [link.bake for link in chain[at:]], [one.block for one in bakes]
    commit = revert.replace(
        repo.git, repo.store, began, gone, model=model, blocks=blocks, named=bake, reporter=reporter
    )
    after = repo.state()  # on the base that taught it, where a student went
    return LeftOut(
        bake.name,
        now.parent,
        after.parent,
        after.base.name,
        commit,
        tuple(one.model for one in bakes),
        tuple(one.model for one in bakes[leaning:]),
        kept,
    )


def _leaning(later: Sequence[Link], kept: Sequence[Kept]) -> int:
    """Return the first of the later bakes that is to be baked anew; their number: none is.

    Where an answer of any of them is lost, that is the one that learnt it; where it is one of an
    earlier bake, all later ones may be what disturbs it now.
    """
    lost = {one.target for one in kept if one.is_lost}
    own = [{str(target["name"]) for target in link.bake.data["targets"]} for link in later]
    if lost - set().union(*own):
        return 0
    return next((i for i, names in enumerate(own) if names & lost), len(later))


def _recorded(repo: ModelRepo, one: Joined) -> RecordedBake:
    """Return a bake that was put together, as a recipe will have it."""
    return recipe.read(one.model.bake_id, join.block(repo.git, one.result, one.model))


def _baked_anew(
    repo: ModelRepo, later: Sequence[Link], below: Sequence[RecordedBake], reporter: Reporter
) -> list[RecordedBake]:
    """Bake what leant on the one that goes, from its recipes, on what is left."""
    names = ", ".join(link.bake.base_name for link in later)
    are = "is" if len(later) == 1 else "are"
    reporter.note(f"without it, answers would be lost: {names} {are} baked anew")
    found = replaying.replay(
        repo,
        [link.bake for link in later],
        base=repo.state().base,
        parent=below[-1].model if below else None,
        below=below,
        reporter=reporter,
    )
    return [one.bake for one in found]


def _moved(
    repo: ModelRepo,
    later: Sequence[Link],
    parent: ModelRef | None,
    looked: Panel,
    reporter: Reporter,
) -> list[Joined]:
    """Put the later slices on what is left, one after the other."""
    made: list[Joined] = []
    ahead = _Ahead(repo)
    for link in later:
        wanted = Wanted(link.bake.base_name, links.EXACT, ((link,),), parent, by="revert")
        made.append(joining.make(ahead, wanted, looked, reporter=reporter))
        parent = made[-1].model
        ahead.made.append(_recorded(repo, made[-1]))
    return made


class _Ahead(ModelRepo):
    """The repository with bakes that are in the store and that no recipe names yet."""

    def __init__(self, repo: ModelRepo) -> None:
        super().__init__(repo.git, at=repo.at, backend=repo.backend)
        self.store = repo.store
        self.made: list[RecordedBake] = []

    def bakes(self) -> list[RecordedBake]:
        """Return those of recipe.yml, then those that are only made."""
        return [*super().bakes(), *self.made]

    def lineage(self, *, branch: str | None = None) -> Lineage:
        """Return the tree, with what is only made on it."""
        known = super().lineage(branch=branch)
        return replace(known, bakes={**known.bakes, **{bake.id: bake for bake in self.made}})


def _panel(repo: ModelRepo, chain: Sequence[Link], at: int, reporter: Reporter) -> Panel:
    """Return who is asked what every bake learnt but the one that goes."""
    asked = [("ours", link.bake) for i, link in enumerate(chain) if i != at]
    probes = panel.questions(repo.store, asked, reporter)
    return panel.of(repo, (chain[-1].model, None, None), probes, reporter)


def _folder(repo: ModelRepo, bake: RecordedBake) -> Path:
    return repo.store.bake(bake.id) / str(bake.model.step)
