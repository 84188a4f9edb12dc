"""Recorded bakes made once more where they were not made first: on another base or parent.

Each is planned by its own input.yml and by the version of the defaults that it recorded; the laws
of that version go by the new base. All is made into the store and nothing is recorded. What is
there is kept, so that to go on is to do it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bakery.app import run
from bakery.app.workbench import InRepository
from bakery.errors import BakeryError, ConfigError, RepoError, StageError
from bakery.identity import BaseModelId
from bakery.records import ASK_A_MODEL, ModelRef, given_name
from bakery.repo.files import recipe
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history import replays
from bakery.repo.history.lineage import Lineage
from bakery.repo.history.replays import Replay
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.reporting import Reporter
from bakery.shares import REPLAY
from bakery.store import results
from bakery.store.store import Store

JOINED = "joined"
"""What the block of a bake has whose weights come from other bakes, not from a training."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded bake, and what takes its place."""

    before: RecordedBake
    bake: RecordedBake
    """As it would be recorded. Not made yet, it has the step and the digest of the former."""
    plan: Plan
    repo: Onto
    """As the bake finds it: the bakes below are the replayed ones, the files those of then."""
    result: Mapping[str, Any] | None
    """What bake.json says; None: it is not made yet."""
    is_certain: bool
    """Whether its id is final: that follows from the steps of the bakes below."""

    def in_place_of(self, model: ModelRef) -> ModelRef | None:
        """Return what a model of the former bake is now; None: its step was not kept."""
        steps = {one.step: one for one in self.bake.models}
        return self.bake.model if model == self.before.model else steps.get(model.step)

    def ended(self, result: Mapping[str, Any]) -> Replayed:
        """Return it with all that is known of it in the end: what a gate made of it, too."""
        bake = _recorded(self.before, self.repo.replay, self.plan, result)
        return replace(self, bake=bake, result=result)


def foreseen(
    repo: ModelRepo,
    bakes: Sequence[RecordedBake],
    *,
    base: BaseModelId,
    parent: ModelRef | None = None,
    below: Sequence[RecordedBake] = (),
) -> list[Replayed]:
    """Plan what a replay would make; refuse what no replay can make. Nothing is loaded.

    `bakes` are a chain, oldest first; `parent` is what the first of them is put on (None: `base`
    itself) and `below` the bakes that it is made of.
    """
    line = _Line(repo, base, parent, below)
    for bake in bakes:
        _refuse(repo, bake)
        onto, plan = line.planned(bake)
        line.add(bake, onto, plan, results.result(repo.store.bake(_id(plan))))
    return line.done


def replay(
    repo: ModelRepo,
    bakes: Sequence[RecordedBake],
    *,
    base: BaseModelId,
    parent: ModelRef | None = None,
    below: Sequence[RecordedBake] = (),
    allow: Collection[str] = (),
    reporter: Reporter,
) -> list[Replayed]:
    """Make the bakes of a chain on another base or parent, as `foreseen` plans them.

    What somebody waived when a bake was recorded is waived again, beside what `allow` names.
    """
    foreseen(repo, bakes, base=base, parent=parent, below=below)
    line = _Line(repo, base, parent, below)
    for number, bake in enumerate(bakes, start=1):
        onto, plan = line.planned(bake)
        reporter.note(f"{plan.bake_name}: bake {number} of {len(bakes)}, in place of {bake.name}")
        for said in of_questions(repo.store, plan):
            reporter.note(said)
        allowed = {*allow, *(bake.part("allowed") or ())}
        bench = Bench(onto, bake.input_blob, show.input_text(repo, bake))
        made = run.make(bench, plan, allow=allowed, reporter=reporter)
        line.add(bake, onto, plan, made.result)
    return line.done


@dataclass(frozen=True, slots=True)
class Bench(InRepository):
    """Where a replay is made: `text` is the input.yml that the bake was first made from."""

    text: str = ""

    @property
    def to_train_again(self) -> str:
        """Nothing: what is there is what would be made."""
        return ""

    def input_text(self) -> str | None:
        """Return the file as it was written, which names what the first chain was made of."""
        return self.text


class _Line:
    """A chain as far as it is replayed, and what of it took whose place."""

    def __init__(
        self,
        repo: ModelRepo,
        base: BaseModelId,
        parent: ModelRef | None,
        below: Sequence[RecordedBake],
    ) -> None:
        self.done: list[Replayed] = []
        self._repo, self._base, self._parent = repo, base, parent
        self._chain = list(below)
        # What is below stays what it is.
        self._ids = {row["id"]: row["id"] for link in below for row in link.data["targets"]}

    def planned(self, bake: RecordedBake) -> tuple[Onto, Plan]:
        """Return the repository as the next bake finds it, and what its input.yml means there."""
        then = show.then(self._repo, bake)
        show.plan_of(self._repo, bake, then)  # or it is not what was recorded that is replayed
        parent = self._below(bake) if self.done else self._parent
        onto = Onto(then, bake, self._base, parent, self._chain, self._ids)
        try:
            plan = onto.plan("index")
        except BakeryError as error:
            told = f"{bake.name} cannot be made on {parent or self._base.name}:\n{error.message}"
            raise RepoError(told, hint=error.hint) from error
        self._refuse_strangers(bake, plan)
        return onto, plan

    def add(
        self, bake: RecordedBake, onto: Onto, plan: Plan, result: Mapping[str, Any] | None
    ) -> None:
        """Put a bake on the chain; one without a result as if it had the steps of the former."""
        new = _recorded(bake, onto.replay, plan, result or _as_before(bake, plan))
        certain = all(one.result is not None for one in self.done)
        self.done.append(Replayed(bake, new, plan, onto, result, certain))
        self._chain.append(new)
        self._ids |= dict(_targets(bake, plan, self._ids)) | {bake.id: new.id}
        for model in bake.models:
            if (now := self.done[-1].in_place_of(model)) is not None:
                self._ids[f"{bake.id}/{model.step}"] = f"{now.bake_id}/{now.step}"

    def _below(self, bake: RecordedBake) -> ModelRef:
        """Return what takes the place of a bake's parent."""
        assert bake.parent is not None  # or it would be the first of its chain
        found = self.done[-1].in_place_of(bake.parent)
        if found is None:
            raise StageError(
                f"{bake.name} was baked on step {bake.parent.step} of {bake.parent.bake}, and "
                f"{self._chain[-1].name}, which takes its place, did not keep that step",
                hint="What is made so far is kept in the store.",
            )
        return found

    def _refuse_strangers(self, bake: RecordedBake, plan: Plan) -> None:
        """Refuse answers and targets that were meant when it was recorded and are not replayed."""
        assert plan.bake is not None  # there is one, or it could not have been recorded
        shares = {share.id for share in plan.bake.shares}
        own = dict(_targets(bake, plan, self._ids))
        for row in bake.data["targets"]:
            if row.get("role") != REPLAY and own.get(row["id"]) not in shares:
                raise RepoError(
                    f"{bake.name} cannot be made anew: it learnt {row['name']}, a target of a "
                    "bake that is not of this chain",
                    hint="Its answers are of another model.",
                )
        chain = {link.id for link in self._chain}
        for model in plan.head.models.values():
            if model is not None and model.bake_id not in chain and not self._fits(model):
                raise RepoError(
                    f"{bake.name} cannot be made anew: its input.yml has {model} answer or write, "
                    f"which is not made anew on {self._base.name}",
                    hint="Only bakes of its own chain are, by their names or their whole ids.",
                )

    def _fits(self, model: ModelRef) -> bool:
        """Tell whether a model beside the chain is on the same base, and not to be replaced."""
        known = self._repo.lineage().bakes.get(model.bake_id)
        on = (known.part("base") or {}).get("digest") if known else None
        return on == self._base.digest and model.bake_id not in self._ids


class Onto(show.Then):
    """The repository as a bake would find it, had its chain always stood elsewhere."""

    def __init__(
        self,
        then: show.Then,
        bake: RecordedBake,
        base: BaseModelId,
        parent: ModelRef | None,
        chain: Sequence[RecordedBake],
        ids: Mapping[str, str],
    ) -> None:
        super().__init__(then, bake, then.at)
        former, before = then.state().base.name, replays.of(bake) or Replay("")
        moved = () if former in (base.name, *before.bases) else (former,)
        text = show.input_text(then, bake)
        needed = replays.used(text, replays.then(before.ids, ids))
        self.replay = Replay(bake.name, (*before.bases, *moved), needed)
        self._below, self._bases = list(chain), self.replay.bases
        self._configuration = replays.renamed(text, needed)
        self._state = replace(self._state, base=base, parent=parent)

    def lineage(self, *, branch: str | None = None) -> Lineage:
        """Return the tree of all branches, with the chain that no branch has yet."""
        known = super().lineage(branch=branch)
        return replace(known, bakes={**known.bakes, **{bake.id: bake for bake in self.bakes()}})


def _refuse(repo: ModelRepo, bake: RecordedBake) -> None:
    """Refuse a bake that no input.yml makes again."""
    if bake.part(JOINED) is not None:
        raise RepoError(
            f"{bake.name} cannot be made anew: its weights were joined from other bakes, and not "
            "trained",
            hint="`bgit show` names what it was joined from.",
        )
    if bake.part("teacher") is not None:
        raise RepoError(
            f"{bake.name} cannot be made anew on another base: it is a student of one already",
            hint="Rebase the chain that taught it, then `bgit run` with its input.yml.",
        )
    if bake.backend is not None:
        raise RepoError(
            f"{bake.name} cannot be made anew: its answers were made up by the {bake.backend} "
            "backend",
            hint="`bgit revert` takes it back; `bgit run` bakes what models answer.",
        )
    show.input_text(repo, bake)


def _recorded(
    bake: RecordedBake, replay: Replay, plan: Plan, result: Mapping[str, Any]
) -> RecordedBake:
    """Return what a recipe would say of a bake; of one that comes to the same, what it says."""
    if _id(plan) == bake.id:
        return bake
    model = plan.model_ref(result.get("step", bake.model.step))
    data = {**result, replays.KEY: replay.as_data()}
    return recipe.read(model.bake_id, recipe.block(data, model=model, input_blob=bake.input_blob))


def _id(plan: Plan) -> str:
    if plan.bake is None:
        raise ConfigError("no BAKE is configured")
    return plan.bake.id


def _targets(bake: RecordedBake, plan: Plan, known: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the id of each target that a bake learnt, and what took its place."""
    own = {target.base_name: target.rollout.id for target in plan.targets}
    for row in bake.data["targets"]:
        new = known.get(row["id"]) or own.get(given_name(row["name"]))
        if new is not None:
            yield row["id"], new


def _as_before(bake: RecordedBake, plan: Plan) -> dict[str, Any]:
    """Return what bake.json would say of a plan's bake, were it like the recorded one."""
    assert plan.bake is not None  # the caller's to ask
    parent, none = plan.head.parent, "0" * 64
    rows = [
        {"name": share.name, "id": share.id, "stim_id": share.id, "weight": share.weight,
         "stimuli": 0, "trajectories": 0, "writers": {}, "stimuli_digest": none,
         "trajectories_digest": none, "teacher": share.teacher.as_data(),
         "student": share.student.as_data()}
        for share in plan.bake.shares
    ]  # fmt: skip
    return {
        **{key: value for key, value in bake.data.items() if key != "card"},
        "base": asdict(plan.head.base),
        "parent": {"model": str(parent), "digest": none} if parent else None,
        "targets": rows,
        "training": plan.bake.training.as_data(),
    }


def of_questions(store: Store, plan: Plan) -> Iterator[str]:
    """Yield who wrote the questions of a plan that a model writes, or who does now."""
    for target in plan.targets:
        asked = _asks_of(target)
        if asked is None:
            continue
        done = results.is_done(store.stim(target.stim.id))
        wrote = sorted({row.writer for row in results.stimuli(store.stim(target.stim.id))})
        if done:
            yield f"the questions of {target.base_name} stay those by {', '.join(wrote)}"
        else:
            by = asked or plan.head.base.name
            yield f"the questions of {target.base_name} are not here: {by} writes them"


def _asks_of(target: PlannedTarget) -> str | None:
    """Return the model that writes questions ("": the base); None: none does."""
    for generator in target.stim.generators:
        model = generator.get("model")
        if generator["type"] in ASK_A_MODEL or (generator["type"] == "facts" and model):
            return str(model or "")
    return None
