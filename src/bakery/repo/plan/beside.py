"""What a bake mixes beside what it is asked to teach: earlier targets, and anchors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bakery import schema
from bakery.defaults import Defaults
from bakery.evals.neutral import ANCHORS
from bakery.identity import RolloutRequest, SamplingSettings, StimRequest
from bakery.records import BACKENDS, Prompt, given_name
from bakery.repo.plan.planned import Head, PlannedTarget
from bakery.shares import REPLAY, RETENTION, TargetShare

ANCHOR = "retention"
"""What the target of general questions is called."""


def replayed(
    spec: schema.InputSpec, shares: Sequence[TargetShare], head: Head
) -> tuple[list[TargetShare], list[str]]:
    """Return the earlier targets of the chain that are learnt again, all alike; with notes.

    Not those that are mixed already, nor anchors, which bake nothing in.
    """
    share = spec.bake.replay if spec.bake else 0.0
    if not share:
        return [], []
    at, mixed = spec.places.at("BAKE", "replay"), {one.id for one in shares}
    earlier = {
        target.id: target
        for target in head.targets.values()
        if target.is_in_chain and target.teacher != target.student and target.id not in mixed
    }
    made_up = [t for t in earlier.values() if t.backend is not None and head.backend is None]
    found = [target for target in earlier.values() if target not in made_up]
    notes = [
        f"{at}: {target.name} is not replayed: the {target.backend} backend made its answers up"
        for target in made_up
    ]
    if not found:
        notes.append(f"{at}: replay changes nothing: {_why_none(mixed, head)}")
    else:
        names = ", ".join(given_name(target.name) for target in found)
        notes.append(f"{at}: {100 * share:g} % of what is learnt replays {names}")
    each = share / max(1, len(found))
    return [
        TargetShare(t.name, t.id, each, t.teacher, t.student, REPLAY, t.variables) for t in found
    ], notes


def _why_none(mixed: set[str], head: Head) -> str:
    if any(target.id in mixed for target in head.targets.values()):
        return "the earlier targets are in BAKE.datasets already"
    return "no earlier bake of this chain has a target to replay"


def held(
    spec: schema.InputSpec, shares: Sequence[TargetShare], head: Head, defaults: Defaults
) -> tuple[list[TargetShare], PlannedTarget | None]:
    """Return the shares with anchors that weigh what `BAKE.retention` says, and their target.

    Anchors of the mix are taken, in proportion to their weights. None: there are some, or nothing
    else, or nothing is to be held.
    """
    weight = spec.bake.retention if spec.bake else 0.0
    if not weight or all(share.teacher == share.student for share in shares):
        return list(shares), None
    own = sum(share.weight for share in shares if share.teacher == share.student)
    if own:
        return [
            replace(share, weight=weight * share.weight / own, role=RETENTION)
            if share.teacher == share.student
            else share
            for share in shares
        ], None
    target = _general(head, defaults)
    share = TargetShare(
        target.name, target.rollout.id, weight, target.stim.teacher, target.student, RETENTION
    )
    return [*shares, share], target


def _general(head: Head, defaults: Defaults) -> PlannedTarget:
    """Return a target of general questions that the parent answers without a prompt."""
    generator = {"type": "anchors", "questions": list(ANCHORS)}
    stim = StimRequest(Prompt(), (generator,), {}, {}, defaults.version)
    sampling = SamplingSettings(
        num_traj_per_stimulus=1,
        max_tokens=defaults.max_tokens,
        probed=defaults.probed,
        temperature=defaults.temperature,
    )
    model = None if head.backend is None else BACKENDS[head.backend]
    parent = head.parent if model is None else None
    rollout = RolloutRequest(
        stim.id, Prompt(), sampling, head.base, parent, model, defaults=defaults.version
    )
    return PlannedTarget(f"{ANCHOR}_{rollout.id}", ANCHOR, stim, rollout, Prompt())
