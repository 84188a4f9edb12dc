"""Which trajectories a bake trains on and which it is measured on.

Held out by stimulus, chosen by the stimulus's own id: the same question is held out in every
bake that has it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.engine.chat import Chat
from bakery.engine.views import Pair, pair_up
from bakery.errors import ModelError, StageError
from bakery.identity import TargetShare, file_digest, short_id
from bakery.records import Stimulus, Trajectory, read_rows
from bakery.stages import rollout, stim

FEWEST_TO_HOLD_OUT = 5
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_SHARE = 0.1, 20, 0.2


@dataclass(frozen=True, slots=True)
class TargetData:
    """A target's share, and the folders that hold its questions and answers."""

    share: TargetShare
    stim_dir: Path
    target_dir: Path


@dataclass(frozen=True, slots=True)
class Mix:
    """Pairs to train on, pairs to measure on, and what is said of each target."""

    train: list[Pair]
    held_out: list[Pair]
    held_out_stimuli: int
    targets: list[dict[str, Any]]
    notes: list[str]


def mix(data: Sequence[TargetData], chat: Chat, *, total: int | None, seed: int) -> Mix:
    """Read the targets of a bake and share them out by weight.

    `total` is the number of training trajectories; None takes all that the weights allow.
    """
    train: list[list[Pair]] = []
    held: list[Pair] = []
    held_stimuli, empty = 0, 0
    described = [_described(target) for target in data]
    for target in data:
        pairs, blank = _pairs(target, chat)
        out = held_out({p.key.split("/")[1] for p in pairs})
        train.append([p for p in pairs if p.key.split("/")[1] not in out])
        held += [p for p in pairs if p.key.split("/")[1] in out]
        held_stimuli, empty = held_stimuli + len(out), empty + blank
    chosen = _by_weight(train, [t.share.weight for t in data], total, seed)
    if not chosen:
        raise StageError(
            "no answer has a token to train on",
            hint="`bgit rollout` shows them: were they all empty?",
        )
    notes = [f"{empty} empty answers were left out"] if empty else []
    return Mix(chosen, held, held_stimuli, described, notes)


def held_out(stimulus_ids: set[str]) -> set[str]:
    """Return the stimuli to measure on: 10 %, at least 20 where that is at most a fifth."""
    count = len(stimulus_ids)
    if count < FEWEST_TO_HOLD_OUT:
        return set()
    wanted = max(1, round(count * HELD_OUT_SHARE))
    if count * MOST_SHARE >= FEWEST_HELD_OUT:
        wanted = max(wanted, FEWEST_HELD_OUT)
    return set(sorted(stimulus_ids, key=lambda i: short_id(["held-out", i]))[:wanted])


def _pairs(target: TargetData, chat: Chat) -> tuple[list[Pair], int]:
    stimuli = {s.id: s for s in read_rows(target.stim_dir / stim.STIMULI, Stimulus)}
    pairs, empty = [], 0
    for row in read_rows(target.target_dir / rollout.TRAJECTORIES, Trajectory):
        if not row.response_ids:
            empty += 1
            continue
        key = f"{target.share.id}/{row.stimulus_id}/{row.sample}"
        pairs.append(
            pair_up(
                chat,
                key,
                target.share.teacher,
                target.share.student,
                stimuli[row.stimulus_id].messages,
                row.response_ids,
            )
        )
    return sorted(pairs, key=lambda p: p.key), empty


def _by_weight(
    parts: Sequence[list[Pair]], weights: Sequence[float], total: int | None, seed: int
) -> list[Pair]:
    """Take from each target in proportion to its weight; nothing is taken twice."""
    if len(parts) == 1 and total is None:
        return parts[0]
    shares = [weight / sum(weights) for weight in weights]
    room = min(len(part) / share for part, share in zip(parts, shares, strict=True))
    if total is not None and total > room + 1e-9:
        raise StageError(
            f"total_trajectories is {total}, but the answers there are allow {int(room)}",
            hint="Lower it, raise numq or num_traj_per_stimulus, or change the weights.",
        )
    wanted = room if total is None else total
    chosen: list[Pair] = []
    for part, share in zip(parts, shares, strict=True):
        drawn = sorted(part, key=lambda p: short_id(["mix", seed, p.key]))
        chosen += sorted(drawn[: round(wanted * share)], key=lambda p: p.key)
    return chosen


def _described(target: TargetData) -> dict[str, Any]:
    """Return what the record says of a target, after checking that its files are the ones made."""
    done = target.target_dir / rollout.DONE
    if not done.is_file():
        raise StageError(
            f"the answers of {target.share.name} are not complete",
            hint="Run `bgit run stim rollout` first.",
        )
    asked = json.loads((target.stim_dir / stim.DONE).read_text(encoding="utf-8"))
    answered = json.loads((target.target_dir / rollout.DONE).read_text(encoding="utf-8"))
    for path, told in (
        (target.stim_dir / stim.STIMULI, asked),
        (target.target_dir / rollout.TRAJECTORIES, answered),
    ):
        if file_digest(path) != told["digest"]:
            raise ModelError(
                f"{path} has changed since it was completed",
                hint="Delete its folder and run the stage again.",
            )
    share = target.share
    return {
        "name": share.name,
        "id": share.id,
        "stim_id": answered["stim_id"],
        "weight": share.weight,
        "stimuli": asked["count"],
        "writers": asked["writers"],
        "trajectories": answered["count"],
        "stimuli_digest": asked["digest"],
        "trajectories_digest": answered["digest"],
        "teacher": share.teacher.as_data(),
        "student": share.student.as_data(),
        "seconds": {"stim": asked["seconds"], "rollout": answered["seconds"]},
        "notes": [*asked["notes"], *answered["notes"]],
    }
