"""The chain of a branch made anew on another base model: all of it, or nothing is recorded.

Its bakes go into the store one by one, and so a rebase that was interrupted goes on from there.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakery.app import foreseen, gates, making, own_gate, replaying, run, writers
from bakery.app.opening import Models
from bakery.app.replaying import Replayed, of_questions
from bakery.app.workbench import InRepository
from bakery.card import Card
from bakery.errors import GateError, RepoError
from bakery.identity import BaseModelId
from bakery.plain import plain
from bakery.records import ModelRef, given_name
from bakery.repo.commits import checks
from bakery.repo.commits import rebase as commits
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look.check import forecast
from bakery.repo.look.forecasts import Cost, Forecast, Writer
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Quiet, Reporter
from bakery.store import results
from bakery.store.store import Store


@dataclass(frozen=True, slots=True)
class Side:
    """One target of a bake, on the base before and on the one after. None: the card has it not."""

    target: str
    before: Card | None
    after: Card | None

    def as_data(self) -> dict[str, Any]:
        """Return the figures of both."""
        return {
            "target": self.target,
            "before": _figures(self.before),
            "after": _figures(self.after),
        }


@dataclass(frozen=True, slots=True)
class Moved:
    """A bake, and what took its place."""

    before: RecordedBake
    after: RecordedBake

    @property
    def sides(self) -> tuple[Side, ...]:
        """The cards of its targets on both bases."""
        old, new = _cards(self.before), _cards(self.after)
        return tuple(Side(name, old.get(name), new.get(name)) for name in {**old, **new})

    def as_data(self) -> dict[str, Any]:
        """Return both names and digests, with the cards."""
        return {
            "before": {"model": str(self.before.model), "digest": self.before.digest},
            "after": {"model": str(self.after.model), "digest": self.after.digest},
            "targets": [side.as_data() for side in self.sides],
        }


@dataclass(frozen=True, slots=True)
class Rebased:
    """What a rebase made. `commit` is None where the last bake falls short of the gate."""

    before: BaseModelId
    base: BaseModelId
    bakes: tuple[Moved, ...]
    model: ModelRef | None
    """The current model now. None: the base."""
    left_out: tuple[RecordedBake, ...]
    """Bakes beside the chain, which the recipe has no longer."""
    commit: str | None
    refused: GateError | None = None
    """Why what was made is not recorded."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit rebase --base-model REF --json` prints."""
        return {
            "before": plain(self.before),
            "base": plain(self.base),
            "model": plain(self.model),
            "commit": self.commit,
            "refused": self.refused.message if self.refused else None,
            "bakes": [moved.as_data() for moved in self.bakes],
            "left_out": [bake.name for bake in self.left_out],
        }


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a rebase would make, and what that would take."""

    before: BaseModelId
    base: BaseModelId
    bakes: tuple[tuple[Replayed, Forecast], ...]
    left_out: tuple[RecordedBake, ...]
    notes: tuple[str, ...] = ()

    @property
    def cost(self) -> Cost:
        """What all bakes together take."""
        return _together([found.cost for _, found in self.bakes])

    def as_data(self) -> dict[str, Any]:
        """Return what `--dry-run --json` prints; a name that may be another in the end is None."""
        return {
            "before": plain(self.before),
            "base": plain(self.base),
            "bakes": [
                {
                    "before": one.before.name,
                    "after": one.bake.name if one.is_certain else None,
                    "targets": plain(found.targets),
                    "bake": plain(found.bake),
                    "cost": plain(found.cost),
                }
                for one, found in self.bakes
            ],
            "cost": plain(self.cost),
            "left_out": [bake.name for bake in self.left_out],
            "notes": list(self.notes),
        }


def rebase(
    repo: ModelRepo, reference: str, *, allow: Collection[str] = (), reporter: Reporter
) -> Rebased:
    """Make the chain of the current branch anew on another base model, and record it in one commit.

    `reference` is a base model as `bgit init` takes it. Everything that can be is refused before
    anything is made. A last bake that falls short of the gate of tests.yml is not recorded.
    """
    gates.check_names(allow)
    began = checks.stand(repo.git)
    before, base, chain = _asked(repo, reference)
    for note in filter(None, (run.coming(base), run.unnamed_end(base))):
        reporter.note(note)
    planned = replaying.foreseen(repo, chain, base=base)
    own = own_gate.read(repo, reporter)
    _check(repo, planned, base, allow, reporter)
    if planned:
        own_gate.check(planned[-1].repo, own, planned[-1].plan, allow, reporter)
    try:
        made = replaying.replay(repo, chain, base=base, allow=allow, reporter=reporter)
    except GateError as error:
        raise _of_rebase(error, reference) from error
    model, refused = _model(repo, made), None
    if made:
        last = made[-1]
        assert last.result is not None  # it was made
        result, refused = own_gate.asked(
            last.repo, own, last.plan, last.result, allow=allow, reporter=reporter
        )
        made[-1] = last.ended(result)
    moved = tuple(Moved(one.before, one.bake) for one in made)
    beside = tuple(commits.left_out(repo.bakes(), chain))
    if refused is not None:
        refused = _of_rebase(refused, reference)
        return Rebased(before, base, moved, model, beside, None, refused)
    anew = commits.Anew(base, {one.before: one.after for one in moved}, model)
    commit = repo.rebase(began, anew, reporter)
    return Rebased(before, base, moved, model, beside, commit)


def dry_run(repo: ModelRepo, reference: str) -> Foreseen:
    """Return what a rebase would make and take; nothing is loaded and nothing is asked."""
    checks.stand(repo.git)
    before, base, chain = _asked(repo, reference)
    planned = replaying.foreseen(repo, chain, base=base)
    beside = tuple(commits.left_out(repo.bakes(), chain))
    told = filter(None, (run.coming(base), run.unnamed_end(base)))
    notes = *told, *(said for one in planned for said in of_questions(repo.store, one.plan))
    found = tuple((one, _forecast(repo, one)) for one in planned)
    return Foreseen(before, base, found, beside, notes)


def _asked(
    repo: ModelRepo, reference: str
) -> tuple[BaseModelId, BaseModelId, tuple[RecordedBake, ...]]:
    """Return the base now and then, and the chain that is to be made anew."""
    repo.check_parent()
    repo.check_base()
    now = repo.state()
    base = run.base_model(reference)
    if (base.name, base.digest) == (now.base.name, now.base.digest):
        raise RepoError(
            f"{base.name} is the base model of this branch already: nothing would change",
            hint="Name another one, or another version of it.",
        )
    chain = repo.lineage().chain(now.parent)
    assert chain is not None  # checked: this branch has the parent's block
    return now.base, base, chain


def _check(
    repo: ModelRepo,
    planned: Sequence[Replayed],
    base: BaseModelId,
    allow: Collection[str],
    reporter: Reporter,
) -> None:
    """Refuse what any bake of the chain would stumble over, before the first is made."""
    from bakery.engine.training import needs

    models = Models(InRepository(repo), base, None, reporter)
    for one in planned:
        assert one.plan.bake is not None
        if results.is_done(repo.store.bake(one.plan.bake.id)):
            continue
        allowed = {*allow, *(one.before.part("allowed") or ())}
        gates.check_limits(one.plan.targets, allowed)
        foreseen.check_epochs(one.repo, one.plan)
        needs.check(one.plan.bake.running)
        for asked in writers.asked_for(models, repo.store, one.plan):
            asked.refuse()
        for target in one.plan.targets:
            if target.rollout.model is not None:
                models.expect(target.rollout)
            making.check_prompts(models, target, reporter)


def _of_rebase(error: GateError, reference: str) -> GateError:
    """Return what a run says where it stops, with the line that goes on here."""
    here = f"`bgit rebase --base-model {shlex.quote(reference)} --allow"
    return GateError(error.message, hint=(error.hint or "").replace("`bgit run --allow", here))


def _model(repo: ModelRepo, made: Sequence[Replayed]) -> ModelRef | None:
    """Return what takes the place of the current model."""
    parent = repo.state().parent
    if parent is None:
        return None
    found = made[-1].in_place_of(parent)
    if found is None:
        raise RepoError(
            f"the current model is step {parent.step} of {parent.bake}, and {made[-1].bake.name}, "
            "which takes its place, did not keep that step",
            hint=f"`bgit adopt {made[-1].before.name}` makes its last step the current one; what "
            "was made is kept in the store.",
        )
    return found


def _forecast(repo: ModelRepo, one: Replayed) -> Forecast:
    models = Models(InRepository(repo), one.plan.head.base, None, Quiet())
    asked = writers.asked_for(models, repo.store, one.plan)
    real = dict(_wrote(repo.store, one.plan))
    real |= {(each.target.name, each.source): each.writer for each in asked}
    counts = dict(foreseen.counted(one.plan))
    return forecast(one.repo, one.plan, run.machine(one.plan), real, counts)


def _wrote(store: Store, plan: Plan) -> Iterator[tuple[tuple[str, int], Writer]]:
    """Yield who wrote what a generator was asked for, where all of it is there."""
    for target in plan.targets:
        folder = store.stim(target.stim.id)
        rows = results.stimuli(folder) if results.is_done(folder) else []
        for at in dict.fromkeys(row.source for row in rows):
            names = dict.fromkeys(row.writer for row in rows if row.source == at)
            yield (target.name, at), Writer(", ".join(names))


def _together(costs: Sequence[Cost]) -> Cost:
    """Return the cost of one bake after the other; of memory, the most of any."""
    stages = dict.fromkeys(stage for cost in costs for stage in cost.seconds)
    kinds = dict.fromkeys(stage for cost in costs for stage in cost.memory_bytes)
    most = any(cost.most_seconds for cost in costs)
    return Cost(
        _sum(cost.tokens for cost in costs),
        any(cost.tokens_are_bound for cost in costs),
        _sum(cost.disk_bytes for cost in costs),
        {stage: _sum(cost.seconds.get(stage, 0.0) for cost in costs) for stage in stages},
        max((cost.measured_on for cost in costs), default=0),
        {kind: max(cost.memory_bytes.get(kind, 0) for cost in costs) for kind in kinds},
        tuple(stage for stage in stages if any(stage in cost.worked_out for cost in costs)),
        dict(_most(costs)) if most else {},
    )


def _most(costs: Sequence[Cost]) -> Iterator[tuple[str, float]]:
    """Yield what stages take at most, where some bake may take more rounds."""
    for stage in dict.fromkeys(stage for cost in costs for stage in cost.most_seconds):
        told = [cost.most_seconds.get(stage, cost.seconds.get(stage, 0.0)) for cost in costs]
        if (seconds := _sum(told)) is not None:
            yield stage, seconds


def _sum(parts: Any) -> Any:
    known = list(parts)
    return None if None in known else sum(known)


def _cards(bake: RecordedBake) -> Mapping[str, Card | None]:
    """Return the card of each target of a bake by the name that input.yml gave it."""
    card = bake.card
    names = [row["name"] for row in bake.data["targets"]]
    if card is None or len(names) == 1:
        return {given_name(name): card for name in names}
    return {given_name(name): card.targets.get(name) for name in names}


def _figures(card: Card | None) -> dict[str, Any] | None:
    if card is None:
        return None
    names = ("held_out", "kl_before", "kl_after", "gap_closed", "top1_agreement")
    verdict = {"verdict": card.verdict.word if card.verdict else None}
    return {name: getattr(card, name) for name in names} | verdict
