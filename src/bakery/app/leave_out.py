"""One bake out of the middle of a chain: `bgit revert --only`.

The later ones keep their slices, on another parent: what they learnt on top of the one that goes is
looked at, and where it leant on that one, they are baked anew from their recipes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakery.app import joining, panel
from bakery.app.joining import Joined, Link, Wanted
from bakery.app.panel import Panel
from bakery.errors import RepoError
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.commits import checks, join, revert
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
    kept: tuple[Kept, ...]
    """What is left of each target, held against the model before."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit revert --only --json` prints."""
        names = ("bake", "before", "model", "base", "commit", "moved")
        data: dict[str, Any] = {name: plain(getattr(self, name)) for name in names}
        return {"schema": 1, **data, "kept": [one.as_data() for one in self.kept]}


def leave_out(repo: ModelRepo, name: str, *, reporter: Reporter) -> LeftOut:
    """Take one bake out of the current chain, and leave those that were baked on it."""
    checks.can_commit(repo.git)
    checks.own_files_are_clean(repo.git)
    repo.check_parent()
    now, lineage = repo.state(), repo.lineage()
    bake = repo.find_bake(name)
    chain = joining.links(lineage, now.parent)
    at = next((i for i, link in enumerate(chain) if link.bake.id == bake.id), None)
    if at is None or now.parent is None:
        raise RepoError(
            f"{bake.name} is no part of the current model {now.parent or now.base.name}",
            hint="`bgit tree` shows what it was made of.",
        )
    later = chain[at + 1 :]
    looked = _panel(repo, chain, at, reporter)
    parent = chain[at - 1].model if at else None
    made = _moved(repo, later, parent, looked, reporter)
    blocks = [join.block(repo.git, one.result, one.model) for one in made]
    model = made[-1].model if made else parent
    commit = revert.replace(
        repo.git, repo.store, [link.bake for link in chain[at:]], model, blocks, bake, reporter
    )
    kept = made[-1].kept if made else ()
    return LeftOut(
        bake.name, now.parent, model, now.base.name, commit,
        tuple(one.model for one in made), kept,
    )  # fmt: skip


def _moved(
    repo: ModelRepo,
    later: Sequence[Link],
    parent: ModelRef | None,
    looked: Panel,
    reporter: Reporter,
) -> list[Joined]:
    """Put the later slices on what is left, one after the other."""
    made: list[Joined] = []
    for link in later:
        wanted = Wanted(link.bake.base_name, joining.EXACT, ((link,),), parent, by="revert")
        made.append(joining.make(repo, wanted, looked, reporter=reporter))
        parent = made[-1].model
    return made


def _panel(repo: ModelRepo, chain: Sequence[Link], at: int, reporter: Reporter) -> Panel:
    """Return who is asked what every bake learnt but the one that goes."""
    asked = [("ours", link.bake) for i, link in enumerate(chain) if i != at]
    probes = panel.questions(repo.store, asked, reporter)
    return panel.of(repo, (chain[-1].model, None, None), probes, reporter)
