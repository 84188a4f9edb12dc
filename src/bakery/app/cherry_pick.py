"""One bake of another branch on the current model: `bgit cherry-pick --weights`.

Its slice is taken as it was trained, on another parent: what it does here is looked at, for the
questions that it learnt and for those of every bake that is here already.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakery.app import joining, own_gate, panel
from bakery.app.joining import Link, Wanted
from bakery.errors import RepoError
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.commits import checks
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

if TYPE_CHECKING:
    from bakery.kept import Contradiction, Kept


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

    @property
    def is_refused(self) -> bool:
        """Whether it contradicts what is here, and nobody said to take it all the same."""
        return self.commit is None

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit cherry-pick --weights --json` prints."""
        names = ("bake", "onto", "base", "model", "commit", "contradictions")
        data: dict[str, Any] = {name: plain(getattr(self, name)) for name in names}
        return {"schema": 1, **data, "kept": [one.as_data() for one in self.kept]}


def cherry_pick(
    repo: ModelRepo,
    name: str,
    *,
    force: bool = False,
    allow: Collection[str] = (),
    reporter: Reporter,
) -> Picked:
    """Put the slice of a bake on the current model, and record that as a bake of this branch.

    RepoError where it is here already. Answers that contradict what is here are refused in the
    result, unless `force`. GateError where the gate is not reached, unless `allow` names it.
    """
    checks.can_commit(repo.git)
    checks.own_files_are_clean(repo.git)
    repo.check_parent()
    now, lineage = repo.state(), repo.lineage()
    bake = repo.find_bake(name)
    if (base := repo.base_of(bake)).digest != now.base.digest:
        raise RepoError(
            f"{bake.name} lies on another base model than this branch, {base.name}",
            hint="Weights fit one base only: bake its prompt here, or `bgit adopt` it.",
        )
    link = Link(bake, bake.model)
    chain = joining.links(lineage, now.parent)
    taken = joining.atoms(lineage, (link,))
    if joining.within(lineage, (link,)) & joining.within(lineage, chain):
        raise RepoError(
            f"{bake.name} is part of the current model {now.parent} already",
            hint="`bgit tree` shows what it was made of.",
        )
    asked = [*(("ours", one.bake) for one in chain), *(("theirs", one.bake) for one in taken)]
    probes = panel.questions(repo.store, asked, reporter)
    looked = panel.of(repo, (now.parent, bake.model, bake.parent), probes, reporter)
    found = Picked(bake.name, now.parent, now.base.name)
    against = tuple(looked.contradictions())
    if against and not force:
        return Picked(bake.name, now.parent, now.base.name, contradictions=against)
    wanted = Wanted(bake.base_name, joining.EXACT, (taken,), now.parent, by="cherry-pick")
    made = joining.make(repo, wanted, looked, reporter=reporter)
    own_gate.check_joined(repo, made.model, made.result, allow, reporter)
    branch = checks.can_commit(repo.git)
    commit = repo.record_model(made.model, made.result, "", branch, reporter)
    return Picked(found.bake, found.onto, found.base, made.model, commit, made.kept, against)
