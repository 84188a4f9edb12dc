"""One bake of another branch on the current model: `bgit cherry-pick --weights`.

Its slice is taken as it was trained, on another parent: what it does here is looked at, for the
questions that it learnt and for those of every bake that is here already. Where answers are lost
by it, it is baked anew on this model, from its recipe.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bakery.app import joining, links, own_gate, panel, replaying
from bakery.app.joining import Wanted
from bakery.app.links import Link
from bakery.app.panel import Panel
from bakery.errors import RepoError
from bakery.kept import lost_of
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.commits import checks, revert
from bakery.repo.commits.checks import Stand
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.kept import Contradiction, Kept


WAYS = ("auto", "cat")
"""How a bake comes: its slice, and by its recipe where that loses answers; or its slice alone."""


@dataclass(frozen=True, slots=True)
class Picked:
    """What became of it. `commit` None: nothing was recorded."""

    bake: str
    onto: ModelRef | None
    base: str
    model: ModelRef | None = None
    commit: str | None = None
    kept: tuple[Kept, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    is_anew: bool = False
    """Whether it was baked on this model from its recipe, as its slice alone lost too much."""

    @property
    def is_refused(self) -> bool:
        """Whether it contradicts what is here, and nobody said to take it all the same."""
        return self.commit is None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit cherry-pick --weights --json` prints."""
        names = ("bake", "onto", "base", "model", "commit", "contradictions", "is_anew")
        data: dict[str, Any] = {name: plain(getattr(self, name)) for name in names}
        return {"schema": 1, **data, "kept": [one.as_data() for one in self.kept]}


def cherry_pick(
    repo: ModelRepo,
    name: str,
    *,
    how: str = "auto",
    force: bool = False,
    allow: Collection[str] = (),
    reporter: Reporter,
) -> Picked:
    """Put the slice of a bake on the current model, and record that as a bake of this branch.

    Where that loses answers and `how` is `auto`, it is baked there by its recipe (`cat`: never).
    RepoError where it is here already. Answers that contradict what is here are refused in the
    result, unless `force`. GateError where the gate is not reached, unless `allow` names it.
    """
    began = checks.stand(repo.git)
    repo.check_parent()
    now, lineage = repo.state(), repo.lineage()
    bake = repo.find_bake(name)
    if (base := repo.base_of(bake)).digest != now.base.digest:
        raise RepoError(
            f"{bake.name} lies on another base model than this branch, {base.name}",
            hint="Weights fit one base only: bake its prompt here, or `bgit adopt` it.",
        )
    link = Link(bake, bake.model)
    chain = links.of(lineage, now.parent)
    taken = links.atoms(lineage, (link,))
    if links.within(lineage, (link,)) & links.within(lineage, chain):
        raise RepoError(
            f"{bake.name} is part of the current model {now.parent} already",
            hint="`bgit tree` shows what it was made of.",
        )
    joining.kept_of_parent(lineage, now.parent, sum(one.bake.rank for one in taken))
    asked = [*(("ours", one.bake) for one in chain), *(("theirs", one.bake) for one in taken)]
    probes = panel.questions(repo.store, asked, reporter)
    looked = panel.of(repo, (now.parent, bake.model, bake.parent), probes, reporter)
    against = tuple(looked.contradictions())
    found = Picked(bake.name, now.parent, now.base.name, contradictions=against)
    if against and not force:
        return found
    wanted = Wanted(bake.base_name, links.EXACT, (taken,), now.parent, by="cherry-pick")
    made = joining.make(repo, wanted, looked, reporter=reporter)
    if how == "auto" and made.lost and not bake.joined_from:
        reporter.note(
            f"as it was trained, answers of {lost_of(made.kept)} are lost: it is baked anew from "
            "its recipe"
        )
        return _anew(repo, began, bake, chain, looked, found, allow=allow, reporter=reporter)
    own_gate.check_joined(repo, made.model, made.result, allow, reporter)
    commit = joining.record(repo, began, made.model, made.result, reporter)
    return replace(found, model=made.model, commit=commit, kept=made.kept)


def _anew(
    repo: ModelRepo,
    began: Stand,
    bake: RecordedBake,
    chain: Sequence[Link],
    looked: Panel,
    found: Picked,
    *,
    allow: Collection[str],
    reporter: Reporter,
) -> Picked:
    """Bake what was to be picked on the current model, by its recipe, and record that."""
    below, now = [link.bake for link in chain], repo.state()
    (made,) = replaying.replay(
        repo, [bake], base=now.base, parent=now.parent, below=below, reporter=reporter
    )
    assert made.result is not None  # it was made just now
    folder = repo.store.bake(made.bake.id) / str(made.bake.model.step)
    kept = tuple(looked.kept(folder)[0])
    own_gate.check_joined(repo, made.bake.model, made.result, allow, reporter)
    commit = revert.replace(
        repo.git, repo.store, began, [], model=made.bake.model, blocks=[made.bake.block],
        named=bake, picked=True, reporter=reporter,
    )  # fmt: skip
    return replace(found, model=made.bake.model, commit=commit, kept=kept, is_anew=True)
