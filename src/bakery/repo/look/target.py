"""Every target that this repository knows: configured now, or part of an earlier bake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bakery.errors import BakeryError, RepoError
from bakery.plain import Plain
from bakery.records import given_name, hex_of
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.find import MIN_PREFIX
from bakery.repo.look.show import plan_or_none
from bakery.repo.model_repo import ModelRepo
from bakery.spelling import nearest
from bakery.store import results

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan, PlannedTarget


@dataclass(frozen=True, slots=True)
class KnownTarget(Plain):
    """One target: its prompts, how it was made, and what used it."""

    name: str
    id: str
    stim_id: str
    teacher: Mapping[str, Any]
    student: Mapping[str, Any]
    stimuli: int | None
    """None: not counted yet, as it is only configured."""
    trajectories: int | None
    writers: Mapping[str, int]
    digests: Mapping[str, str]
    """Of questions and answers; empty where it is only configured."""
    bakes: tuple[tuple[str, float], ...]
    """The bakes that used it, each with its weight there."""
    is_configured: bool
    """Whether input.yml, as added, configures it now."""
    has_questions: bool
    """Whether this clone's store has them, complete."""
    has_answers: bool
    generators: tuple[Mapping[str, Any], ...] | None = None
    """None: not asked for, or the configuration is not in this clone."""
    sampling: Mapping[str, Any] | None = None

    @property
    def base_name(self) -> str:
        """The name that input.yml gave."""
        return given_name(self.name)


@dataclass(frozen=True, slots=True)
class FormerTarget:
    """A target of another tool, as that wrote it."""

    name: str
    config: Any

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit target NAME` prints of it."""
        return {"target_name": self.name, "config": self.config}


@dataclass(frozen=True, slots=True)
class Listing:
    """Targets, oldest first, and why those of input.yml are not among them (None: they are)."""

    targets: tuple[KnownTarget, ...]
    problem: str | None
    former: tuple[str, ...] = ()
    """What another tool had baked from."""
    left_out: int = 0
    """How many older ones there are."""

    def as_data(self) -> list[dict[str, Any]]:
        """Return what `bgit target ls --json` prints."""
        former = [{"name": name, "is_former": True} for name in self.former]
        return [*former, *(target.as_data() for target in self.targets)]


def target(repo: ModelRepo, text: str) -> KnownTarget | FormerTarget:
    """Return the one target that a name means, of this tool or of a former one."""
    former = repo.former()
    if former is not None and text in former.targets:
        return FormerTarget(text, former.targets[text])
    return find(repo, text)


def listed(repo: ModelRepo, *, everywhere: bool = False, limit: int | None = None) -> Listing:
    """Return the targets of this branch, or of every branch and tag; of those the last ones."""
    bakes = list(repo.lineage().bakes.values()) if everywhere else repo.bakes()
    problem, plan = None, None
    try:
        plan = repo.plan("index")
    except BakeryError as error:
        problem = error.message
    found, former = tuple(_merged(repo, bakes, plan)), repo.former()
    shown = found[-limit:] if limit else found
    named = tuple(former.targets) if former else ()
    return Listing(shown, problem, named, len(found) - len(shown))


def find(repo: ModelRepo, text: str) -> KnownTarget:
    """Return the one target that a name, the name of input.yml or an id means, in full."""
    listing = listed(repo, everywhere=True)
    known = {target.id: target for target in listing.targets}
    whole = [t for t in known.values() if text in (t.name, t.id)]
    called = [t for t in known.values() if t.base_name == text]
    here = {target["id"] for bake in repo.bakes() for target in (bake.part("targets") or ())}
    near = [t for t in called if t.is_configured] or [t for t in called if t.id in here] or called
    started = [t for t in known.values() if len(text) >= MIN_PREFIX and t.id.startswith(text)]
    matches = whole or near or started
    if len(matches) == 1:
        return _in_full(repo, matches[0])
    if matches:
        lines = "\n".join(f"  {target.name}" for target in matches)
        raise RepoError(f"{text!r} may mean:\n{lines}", hint="Give the whole name.")
    names = {name: t for t in known.values() for name in (t.name, t.base_name)}
    close = [names[n].name for n in nearest(text, names, most=3)]
    hint = "There is " + ", ".join(dict.fromkeys(close)) + "." if close else None
    raise RepoError(
        f"there is no target {text!r}", hint=hint or "`bgit target ls --all` lists them all."
    )


def _merged(
    repo: ModelRepo, bakes: Iterable[RecordedBake], plan: Plan | None
) -> Iterable[KnownTarget]:
    found: dict[str, KnownTarget] = {}
    configured = {target.rollout.id: target for target in plan.targets} if plan else {}
    for bake in bakes:
        for data in bake.part("targets") or ():
            use = (bake.name, float(data.get("weight", 1.0)))
            before = found.get(data["id"])
            if before is not None:
                found[data["id"]] = replace(before, bakes=(*before.bakes, use))
            else:
                found[data["id"]] = _recorded(repo, data, use, data["id"] in configured)
    for target_id, planned in configured.items():
        if target_id not in found:
            found[target_id] = _planned(repo, planned)
    return found.values()


def _recorded(
    repo: ModelRepo, data: Mapping[str, Any], use: tuple[str, float], is_configured: bool
) -> KnownTarget:
    digests = {
        kind: data[key]
        for kind, key in (("questions", "stimuli_digest"), ("answers", "trajectories_digest"))
        if key in data
    }
    return KnownTarget(
        data["name"],
        data["id"],
        data["stim_id"],
        data["teacher"],
        data["student"],
        data["stimuli"],
        data["trajectories"],
        data.get("writers", {}),
        digests,
        (use,),
        is_configured,
        *_here(repo, data["stim_id"], data["id"]),
    )


def _planned(repo: ModelRepo, target: PlannedTarget) -> KnownTarget:
    return KnownTarget(
        target.name,
        target.rollout.id,
        target.stim.id,
        target.stim.teacher.as_data(),
        target.student.as_data(),
        None,
        None,
        {},
        {},
        (),
        True,
        *_here(repo, target.stim.id, target.rollout.id),
    )


def _here(repo: ModelRepo, stim_id: str, target_id: str) -> tuple[bool, bool]:
    return (
        results.is_done(repo.store.stim(stim_id)),
        results.is_done(repo.store.target(target_id)),
    )


def _in_full(repo: ModelRepo, target: KnownTarget) -> KnownTarget:
    """Add generators and sampling, from the plan of whatever configured it."""
    for plan in _plans(repo, target):
        for planned in plan.targets:
            if planned.rollout.id == target.id:
                return replace(
                    target,
                    generators=planned.stim.generators,
                    sampling=planned.rollout.sampling.as_data(),
                )
    return target


def _plans(repo: ModelRepo, target: KnownTarget) -> Iterable[Plan]:
    if target.is_configured:
        yield repo.plan("index")
    bakes = repo.lineage().bakes
    for name, _ in target.bakes:
        bake = bakes.get(hex_of(name))
        plan = plan_or_none(repo, bake) if bake is not None else None
        if plan is not None:
            yield plan
