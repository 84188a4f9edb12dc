"""A recorded model made again from its recipe, and compared with what was recorded.

Everything is made beside the store. What is what the recipe names goes into the store where it is
missing there; what is not stays beside, and nothing recorded is replaced.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakery.app import joining, links, not_again, spread
from bakery.app.gates import WAIVERS
from bakery.app.making import Making
from bakery.app.reproduced import Again, Compared, Reproduced, Step
from bakery.app.stored import are_rows_told, is_bake_told, weights
from bakery.app.workbench import InRepository
from bakery.errors import BakeryError, ConfigError, ModelError
from bakery.identity import file_digest
from bakery.records import write_atomic
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.look.diff import Change, flat
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Reporter
from bakery.store import drafts, results
from bakery.store.results import STIMULI, TRAJECTORIES, WEIGHTS
from bakery.store.store import Beside, Store
from bakery.torchrun.asked import ONE, Processes


def reproduce(
    repo: ModelRepo, bake: RecordedBake, *, force: bool = False, reporter: Reporter
) -> Reproduced:
    """Make a model again, from the nearest ancestor whose weights are here; `force`: from the base.

    Every bake that is made again is compared, stage by stage, with what its recipe says.
    """
    chain, lost = show.ancestry(repo.lineage(), show.whole(repo, bake))
    start = 0 if force else _start(repo, chain)
    if lost is not None and start == 0:
        raise ModelError(
            f"{chain[0].name} was baked on {lost}, which no branch here has",
            hint="`git fetch` the branch that has it, or `bgit import DIR` its weights.",
        )
    made: list[Again] = []
    for number, each in enumerate(chain[start:], start=start):
        if made and not _has_parent(repo, each):
            return Reproduced(tuple(made), chain[number:])
        reporter.note(f"{each.base_name}: bake {number + 1} of {len(chain)}")
        again = _again if links.how(each) is None else _joined_again
        made.append(again(repo, each, reporter))
    return Reproduced(tuple(made), ())


def steps(repo: ModelRepo, bake: RecordedBake, *, force: bool = False) -> list[Step]:
    """Return the stages that a reproduction would go through, in order, without doing any."""
    chain, _ = show.ancestry(repo.lineage(), bake)
    found: list[Step] = []
    for each in chain[0 if force else _start(repo, chain) :]:
        if links.how(each) is not None:
            here = _has_all(repo.store, each)
            found.append(Step(each.name, "bake", str(each.model), each.model.step, None, here))
            continue
        own = {target.rollout.id for target in show.plan_of(repo, each).targets}
        for target in each.data["targets"]:
            if target["id"] not in own:
                continue
            name, took = target["name"], target.get("seconds") or {}
            asked = not_again.are_questions_here(repo, target)
            answered = not_again.is_here(repo, target["id"], target)
            for stage, count, seconds, here in (
                ("stim", target["stimuli"], took.get("stim"), asked),
                ("rollout", target["trajectories"], took.get("rollout"), answered),
            ):
                found.append(Step(each.name, stage, name, count, seconds, here))
        took = each.data.get("seconds") or {}
        here = _has_all(repo.store, each)
        last = each.model
        found.append(Step(each.name, "bake", str(last), last.step, took.get("bake"), here))
    return found


def _start(repo: ModelRepo, chain: Sequence[RecordedBake]) -> int:
    """Return the first bake to make again: the last one whose parent's weights are here."""
    for number in range(len(chain) - 1, 0, -1):
        if _has_parent(repo, chain[number]):
            return number
    return 0


def _has_parent(repo: ModelRepo, bake: RecordedBake) -> bool:
    if bake.parent is None:
        return True
    try:
        weights(repo, bake.parent)
    except BakeryError:
        return False
    return True


def _again(repo: ModelRepo, bake: RecordedBake, reporter: Reporter) -> Again:
    root = repo.store.root / "reproducing" / bake.id
    plan = _unwatched(show.plan_of(repo, bake))
    recorded = {target["id"]: target for target in bake.data["targets"]}
    fixed = not_again.check(repo, bake, plan, recorded, reporter)
    own = {bake.id} | {i for t in plan.targets for i in (t.stim.id, t.rollout.id)} - fixed
    with repo.store.lock(root, "bgit reproduce"):
        store = Beside(root, repo.store, frozenset(own))
        then = show.then(repo, bake, store)
        _same_choices(repo, bake, store)
        _same_ways(plan, repo.store, store)
        bench = InRepository(then, bake.input_blob)
        as_many = _processes(bake, reporter)
        making = Making(bench, plan, reporter, offline=True, allow=WAIVERS, processes=as_many)
        making.check(("stim", "rollout", "bake"))
        making.stim()
        making.rollout()
        result = making.bake(force=False)
        results = [*_targets(plan, recorded, store), *_models(bake, store)]
        again = Again(bake, tuple(results), _environment(bake, result), None)
        _take(repo, store, again)
        if again.is_same:
            shutil.rmtree(root)
            with suppress(OSError):  # Another one is being made there.
                root.parent.rmdir()
            return again
        kept = repo.store.root / "reproduced" / bake.id
        shutil.rmtree(kept, ignore_errors=True)
        kept.parent.mkdir(parents=True, exist_ok=True)
        root.rename(kept)
    return Again(bake, again.results, again.environment, kept)


def _joined_again(repo: ModelRepo, bake: RecordedBake, reporter: Reporter) -> Again:
    """Put a bake together again, whose weights are a sum of others'; one that was learnt is not."""
    model, found, note = bake.model, None, ""
    with drafts.draft(repo.store.root / "reproducing", bake.id) as draft:
        if links.how(bake) == "distill":
            note = "not made again: it was learnt from the models of two branches"
        else:
            found = joining.again(repo, bake, draft / "adapter", reporter)
        result = Compared("weights", str(model), bake.digest_of(model.step), found, note)
        place = repo.store.bake(bake.id) / str(model.step)
        if result.is_same and not (place / WEIGHTS).is_file():
            repo.store.put(draft / "adapter", place)
    return Again(bake, (result,), (), None)


def _unwatched(plan: Plan) -> Plan:
    """Return a plan whose training tells nobody outside this machine of itself."""
    assert plan.bake is not None
    running = replace(plan.bake.running, wandb=None, trackio=None, tensorboard=None)
    return replace(plan, bake=replace(plan.bake, running=running))


def _same_choices(repo: ModelRepo, bake: RecordedBake, store: Store) -> None:
    """Let the training make the choices of speed and rounding that were made then."""
    from bakery.engine.training import numerics

    told = results.seen(repo.store.bake(bake.id) / results.RESULT) or {}
    chosen = bake.data.get("numerics") or told.get("numerics")
    path = store.bake(bake.id) / numerics.FILE
    if chosen and not path.exists():
        write_atomic(path, json.dumps(chosen, indent=2) + "\n")


def _processes(bake: RecordedBake, reporter: Reporter) -> Processes:
    """Return as many processes as trained then, where this machine can have them."""
    numerics = bake.data.get("numerics") or {}
    then = numerics.get("processes", 1)
    if not isinstance(then, int) or then <= 1:
        return ONE
    try:
        return replace(spread.in_reach(then), sharded=numerics.get("sharded") is True)
    except ConfigError as error:
        reporter.note(f"it was trained in {then} processes, and is in one here: {error.message}")
        return ONE


def _same_ways(plan: Plan, main: Store, store: Beside) -> None:
    """Let models write questions in the way that was found then, where that is known here."""
    for target in plan.targets:
        folder, then = store.stim(target.stim.id), results.done(main.stim(target.stim.id))
        origins = then.get("origins") if then else None
        if origins and folder.is_relative_to(store.root) and not folder.exists():
            write_atomic(folder / results.BESIDE, json.dumps({"origins": origins}) + "\n")


def _targets(
    plan: Plan, recorded: Mapping[str, Mapping[str, Any]], store: Beside
) -> list[Compared]:
    found = []
    for planned in plan.targets:
        known = recorded.get(planned.rollout.id)
        if known is None:
            continue
        for stage, key, folder, name in (
            ("questions", "stimuli_digest", store.stim(planned.stim.id), STIMULI),
            (
                "answers",
                "trajectories_digest",
                store.target(planned.rollout.id),
                TRAJECTORIES,
            ),
        ):
            note = "" if folder.is_relative_to(store.root) else "not made again: the stored ones"
            digest = file_digest(folder / name)
            found.append(Compared(stage, known["name"], known[key], digest, note))
    return found


def _models(bake: RecordedBake, store: Store) -> list[Compared]:
    found = []
    for model in bake.models:
        path = store.bake(bake.id) / str(model.step) / WEIGHTS
        digest = file_digest(path) if path.is_file() else None
        note = "" if digest else "the training ended at a different step"
        found.append(Compared("weights", str(model), bake.digest_of(model.step), digest, note))
    return found


def _environment(bake: RecordedBake, result: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what of the machine and its software differs between then and now."""
    kinds = ("versions", "numerics")
    then, now = (flat({k: told.get(k) or {} for k in kinds}) for told in (bake.data, result))
    return tuple(
        Change(key.partition(".")[2], then.get(key), now.get(key))
        for key in dict.fromkeys((*then, *now))
        if key in then and then[key] != now.get(key)
    )


def _take(repo: ModelRepo, beside: Beside, again: Again) -> None:
    """Put what is the same into the store, where it is missing there."""
    if not all(result.is_same for result in again.results if result.stage != "weights"):
        return  # What was made of other questions or answers is not what was recorded.
    main = repo.store
    places = []
    for target in again.bake.data["targets"]:
        asked, answered = target["stim_id"], target["id"]
        places.append((beside.stim(asked), main.stim(asked), STIMULI))
        places.append((beside.target(answered), main.target(answered), TRAJECTORIES))
    for made, place, name in places:
        if made != place and made.is_dir() and not _is_whole(made, place, name):
            with main.lock(place, "bgit reproduce"):
                main.put(made, place)
    if again.is_same and not (_has_all(main, again.bake) and is_bake_told(repo, again.bake)):
        place = main.bake(again.bake.id)
        with main.lock(place, "bgit reproduce"):
            main.put(beside.bake(again.bake.id), place)


def _is_whole(made: Path, place: Path, name: str) -> bool:
    """Tell whether a stage's folder of the store holds already what was made."""
    there, done = place / name, results.is_done(place)
    digest = file_digest(made / name)
    whole = done and there.is_file() and file_digest(there) == digest
    return whole and are_rows_told(place, digest)


def _has_all(store: Store, bake: RecordedBake) -> bool:
    folder = store.bake(bake.id)
    return results.is_done(folder) and all(
        (path := folder / str(model.step) / WEIGHTS).is_file()
        and file_digest(path) == bake.digest_of(model.step)
        for model in bake.models
    )
