"""Two branches' weights in one model: `bgit merge --weights`.

Both come from one model, and each has slices that the other lacks. Where they are added up nothing
is trained, and each side's answers are looked at then: LoRAs that learnt of different things hardly
meet (docs/log.md has the figures), and where they do, what is lost is learnt again from both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bakery.app import distilled, joining, links, own_gate, panel
from bakery.app.joining import Joined, Wanted
from bakery.app.links import Link
from bakery.app.panel import Panel
from bakery.errors import ConfigError, RepoError
from bakery.kept import lost_of
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.commits import checks, join
from bakery.repo.commits.checks import Stand
from bakery.repo.files import state
from bakery.repo.files.names import BREAD
from bakery.repo.history.lineage import Lineage
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet, Reporter

if TYPE_CHECKING:
    from bakery.kept import Contradiction, Kept

_BESIDE = ("svd", "ties")
"""The ways that put both sides anew on the model that they come from, in fewer ranks."""

WAYS = ("auto", "cat", "svd", "ties", "distill")
"""How two sides become one; `auto`: added up, and learnt from both where that loses too much."""


@dataclass(frozen=True, slots=True)
class Sides:
    """Two branches, what each has that the other lacks, and the model that both come from."""

    branch: str
    commit: str
    """Of the branch that is merged."""
    ours: ModelRef | None
    theirs: ModelRef | None
    before: ModelRef | None
    here: tuple[Link, ...]
    """What only ours has, oldest first."""
    there: tuple[Link, ...]
    both: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """A way that was gone, and what is left of each target in what came of it."""

    how: str
    kept: tuple[Kept, ...]

    @property
    def lost(self) -> tuple[str, ...]:
        """The targets of which more is gone than may be."""
        return tuple(one.target for one in self.kept if one.is_lost)


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of a merge. `commit` None: nothing was recorded."""

    branch: str
    ours: ModelRef | None
    theirs: ModelRef | None
    base: str
    how: str
    """`nothing` where all of theirs is here already, `forward` where ours had nothing of its own,
    `refused` where the sides contradict each other."""
    model: ModelRef | None = None
    commit: str | None = None
    tried: tuple[Tried, ...] = ()
    """The last is the one that was taken."""
    contradictions: tuple[Contradiction, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether the sides contradict each other, and nobody said who wins."""
        return self.how == "refused"

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit merge --weights --json` prints."""
        names = ("branch", "ours", "theirs", "base", "how", "model", "commit", "contradictions")
        data: dict[str, Any] = {name: plain(getattr(self, name)) for name in names}
        tried = [
            {"how": one.how, "lost": list(one.lost), "kept": [kept.as_data() for kept in one.kept]}
            for one in self.tried
        ]
        return {"schema": 1, **data, "tried": tried}


def merge(
    repo: ModelRepo,
    branch: str,
    *,
    how: str = "auto",
    wins: str | None = None,
    force: bool = False,
    rank: int | None = None,
    allow: Collection[str] = (),
    reporter: Reporter,
) -> Merged:
    """Merge a branch: its commits as git does, and its model's weights into the current model.

    `wins` is `ours` or `theirs` where both answer a question, each in its own way; `force` leaves
    such questions to whatever comes out. `rank` is how many ranks are kept, where they shrink;
    `allow` names the gate where it is waived. GateError where that is not reached.
    """
    if how not in WAYS:
        ways = ", ".join(WAYS)
        raise ConfigError(f"there is no way {how!r} to merge weights", hint=f"One of: {ways}.")
    if rank is not None and how not in _BESIDE:
        raise ConfigError(
            "--rank goes with --weights=svd and --weights=ties: others keep all ranks"
        )
    began = checks.stand(repo.git)
    repo.check_parent()
    sides = _sides(repo, branch, how)
    found = Merged(branch, sides.ours, sides.theirs, repo.state().base.name, how)
    join.check(repo.git, branch, sides.commit)
    if not sides.there:
        made = None
        if not join.is_in(repo.git, sides.commit):
            made = join.merge(repo.git, repo.store, began, branch, sides.commit, None)
        return replace(found, how="nothing", model=sides.ours, commit=made)
    if not sides.here and sides.before == sides.ours:
        commit = _recorded(repo, began, sides, sides.theirs, None, reporter)
        return replace(found, how="forward", model=sides.theirs, commit=commit)
    _check(repo, sides, how, wins, rank)
    looked = _panel(repo, sides, reporter)
    against = looked.contradictions()
    found = replace(found, contradictions=tuple(against))
    if against and not (wins or force):
        return replace(found, how="refused")
    if not against:
        wins = None  # nobody has to
    if wins:
        looked.given_up = looked.giving_way(against, wins)
    joined, tried = _made(repo, sides, how, looked, wins=wins, rank=rank, reporter=reporter)
    own_gate.check_joined(repo, joined.model, joined.result, allow, reporter)
    commit = _recorded(repo, began, sides, joined.model, joined.result, reporter)
    return replace(found, how=tried[-1].how, model=joined.model, commit=commit, tried=tried)


def _check(repo: ModelRepo, sides: Sides, how: str, wins: str | None, rank: int | None) -> None:
    """Refuse what could not be made, before anybody is asked."""
    here, there = (sum(link.bake.rank for link in side) for side in (sides.here, sides.there))
    if how in _BESIDE:
        joining.kept_of_parent(repo.lineage(), sides.before, rank or max(here, there))
    else:
        joining.kept_of_parent(repo.lineage(), sides.ours, there)
    if how == "distill":
        distilled.check(
            repo.store, [link.bake for link in (*sides.both, *sides.here, *sides.there)]
        )


def _recorded(
    repo: ModelRepo,
    began: Stand,
    sides: Sides,
    model: ModelRef | None,
    result: Mapping[str, Any] | None,
    reporter: Reporter,
) -> str:
    """Commit what a branch becomes: with git's own merge, where that is still to be made.

    `result` None: a recipe has the model already.
    """
    git, store = repo.git, repo.store
    checks.unchanged(git, began)
    if not join.is_in(git, sides.commit):
        block = join.block(git, result, model) if result and model else None
        return join.merge(git, store, began, sides.branch, sides.commit, join.Model(model, block))
    if result is None or model is None:
        return repo.adopt(repo.find_model(str(model)), reporter=reporter).commit
    return joining.record(repo, began, model, result, reporter)


def _made(
    repo: ModelRepo,
    sides: Sides,
    how: str,
    looked: Panel,
    *,
    wins: str | None,
    rank: int | None,
    reporter: Reporter,
) -> tuple[Joined, tuple[Tried, ...]]:
    """Return the model that two sides come to, and all ways that were gone."""
    first = ("distill" if wins else "cat") if how == "auto" else how
    tried: list[Tried] = []
    while True:
        left_out = tuple(sorted(looked.given_up))
        wanted = _wanted(repo, sides, first, rank, wins, left_out)
        joined = joining.make(repo, wanted, looked, reporter=reporter)
        tried.append(Tried(wanted.how, joined.kept))
        if not (joined.lost and how == "auto" and first == "cat"):
            return joined, tuple(tried)
        names = lost_of(joined.kept)
        reporter.note(f"added up, the two lose answers of {names}: the sum is trained on from both")
        first = "distill"


def _wanted(
    repo: ModelRepo,
    sides: Sides,
    how: str,
    rank: int | None,
    wins: str | None,
    left_out: tuple[str, ...],
) -> Wanted:
    """Return which slices are put on what."""
    name = f"{_called(sides.here)}-{_called(sides.there)}"
    if how in _BESIDE:
        ranks = [sum(link.bake.rank for link in side) for side in (sides.here, sides.there)]
        kept = rank or max(ranks)
        both = (sides.here, sides.there)
        return Wanted(name, how, both, sides.before, kept, wins, instead_of=sides.ours)
    wanted = Wanted(name, how, (sides.there,), sides.ours, None, wins)
    if how != "distill":
        return wanted
    now = repo.state()
    own = joining.own_weights(repo, wanted, Quiet())
    bakes = [link.bake for link in (*sides.both, *sides.here)], [link.bake for link in sides.there]
    rank_of = len(next(iter(own.values()))[0])
    learnt = distilled.planned(repo.store, now.base, now.defaults, rank_of, sorted(own), bakes)
    return replace(wanted, learnt=replace(learnt, left_out=left_out))


def _called(links: Sequence[Link]) -> str:
    return links[-1].bake.base_name if links else "base"


def _sides(repo: ModelRepo, branch: str, how: str) -> Sides:
    """Return what two branches have, and what only one of them has; RepoError where they cannot

    be brought together.
    """
    git, now = repo.git, repo.state()
    commit = git.ask("rev-parse", "-q", "--verify", "--end-of-options", f"{branch}^{{commit}}")
    blob = git.blob(f"{commit}:{BREAD}") if commit else None
    if commit is None or blob is None:
        raise RepoError(
            f"{branch} is no branch, tag or commit with a model",
            hint="`git branch -a` lists the branches. `bgit cherry-pick --weights MODEL` takes one "
            "bake of another branch.",
        )
    there = state.parse(blob.text, f"{branch}:{BREAD}")
    if there.base.digest != now.base.digest:
        raise RepoError(
            f"{branch} is based on {there.base.name}, and this branch on {now.base.name}: weights "
            "fit one base only",
            hint=f"`bgit rebase --base-model {now.base.name}` bakes that branch anew on this base.",
        )
    if there.former_parent is not None:
        raise RepoError(f"the model of {branch}, {there.former_parent}, was made by another tool")
    lineage = repo.lineage()
    ours, theirs = (links.of(lineage, model) for model in (now.parent, there.parent))
    shared = _shared(ours, theirs)
    here, beyond = _lacking(lineage, ours, theirs), _lacking(lineage, theirs, ours)
    if beyond:
        # What is put on ours may well hold what ours was trained from; its own part goes along.
        for side, other in ((beyond, ours), *(((here, theirs),) if how in _BESIDE else ())):
            _refuse_mixed(lineage, side, other)
    return Sides(
        branch,
        commit,
        now.parent,
        there.parent,
        shared[-1].model if shared else None,
        here,
        beyond,
        shared,
    )


def _shared(ours: Sequence[Link], theirs: Sequence[Link]) -> tuple[Link, ...]:
    """Return the bakes that both chains begin with."""
    count = 0
    for one, other in zip(ours, theirs, strict=False):
        if one.key != other.key:
            break
        count += 1
    return tuple(ours[:count])


def _lacking(lineage: Lineage, chain: Sequence[Link], other: Sequence[Link]) -> tuple[Link, ...]:
    """Return the slices of a chain that another lacks."""
    has = links.within(lineage, other)
    return tuple(link for link in links.atoms(lineage, chain) if link.key not in has)


def _refuse_mixed(lineage: Lineage, side: Sequence[Link], other: Sequence[Link]) -> None:
    """Refuse slices of a side that something of the other is trained into."""
    has = links.within(lineage, other)
    for link in side:
        if common := links.within(lineage, (link,)) & has:
            raise RepoError(
                f"{link.bake.name} was trained from several bakes, and the other side has "
                f"{len(common)} of them already: what it adds cannot be told apart",
                hint="`bgit adopt` takes one model as it is; `bgit cherry-pick --weights` takes "
                "single bakes.",
            )


def _panel(repo: ModelRepo, sides: Sides, reporter: Reporter) -> Panel:
    """Return who is asked, and what."""
    asked = [
        *(("both", link.bake) for link in sides.both),
        *(("ours", link.bake) for link in sides.here),
        *(("theirs", link.bake) for link in sides.there),
    ]
    probes = panel.questions(repo.store, asked, reporter)
    return panel.of(repo, (sides.ours, sides.theirs, sides.before), probes, reporter)
