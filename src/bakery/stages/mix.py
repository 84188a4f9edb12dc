"""Which trajectories a bake trains on and which it is measured on.

Held out by stimulus, chosen by the stimulus's own id: bakes of the same questions hold the same
ones out, and what one target of a bake holds out, no other trains on. Nothing is cut: what is too
long is left out, and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from bakery import held_out
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair
from bakery.errors import ModelError, StageError
from bakery.identity import SamplingSettings, canonical
from bakery.records import Stimulus
from bakery.shaping import TrainingSettings
from bakery.shares import REPLAY
from bakery.stages import epoch, look, rollout
from bakery.stages.anchors import Far, leave_moved
from bakery.stages.longest import Limit, limit_of
from bakery.stages.parts import Part, TargetData, of_target, part_of, stimulus_of
from bakery.store import results
from bakery.variables import filled


@dataclass(frozen=True, slots=True)
class Mix:
    """Pairs to train on, pairs to measure on, and what is said of each target."""

    train: list[Pair]
    learnt: list[Pair]
    """Those to train on, as often as an epoch has them."""
    held_out: list[Pair]
    stimuli: dict[str, Stimulus]
    """Every question that was answered, by the `target/stimulus` its pairs' keys begin with."""
    targets: list[dict[str, Any]]
    notes: list[str]
    sampling: Mapping[str, SamplingSettings] = field(default_factory=dict)
    """How the answers of each target were sampled, by its id; empty where no more are."""
    cut: frozenset[str] = frozenset()
    """The ids of targets with answers of a server that did not read the whole prompt."""
    instead: tuple[Pair, ...] = ()
    """What is learnt of targets of which nothing is held out: measured in its place."""
    beside: int = 0
    """How many of `learnt`, the last, are replayed or hold the parent: they are on top."""

    @property
    def measured(self) -> list[Pair]:
        """What the card is of."""
        return [*self.held_out, *self.instead]

    @property
    def scored(self) -> list[Pair]:
        """All that the teacher is asked of, once."""
        return list({pair.key: pair for pair in [*self.train, *self.measured]}.values())

    @property
    def own(self) -> list[Pair]:
        """Those to train on that are not there beside what is new."""
        beside = {target["id"] for target in self.targets if "role" in target}
        return [pair for pair in self.train if pair.key.split("/")[0] not in beside]


def mix(
    data: Sequence[TargetData],
    chat: Chat,
    settings: TrainingSettings,
    *,
    context: int,
    far: Far | None = None,
) -> Mix:
    """Read the targets of a bake and share them out by weight.

    A bake takes `total_trajectories`, or all that the weights allow; `context` is how many tokens
    the base was made for. `far` tells which general anchors a prompt is about; None: all are held.
    """
    limit = limit_of(settings, context)
    described = [_described(target) for target in data]
    parts = [part_of(target, chat, settings, limit) for target in data]
    unheld = leave_moved(parts, chat, far) if far is not None else []
    lost = [part.target.share.id for part in parts if part.is_lost]
    described = [said for said in described if said["id"] not in lost]
    parts = [part for part in parts if not part.is_lost]
    _keep_apart(parts, settings)
    for said, part in zip(described, parts, strict=True):
        if part.is_anchor:
            said["anchor"] = True
    own = [part for part in parts if not part.target.share.role]
    chosen = _by_weight(own, settings, limit)
    if not chosen:
        raise StageError("no answer has a token to train on", hint=_why_none(parts, limit))
    written = {pair.key for part in own for pair in part.train if part.writes(pair)}
    learnt = epoch.taught(chosen, written & {p.key for p in chosen}, settings.hardcoded_times)
    rest = [part for part in parts if part.target.share.role]
    beside = epoch.beside(learnt, [(p.target.share, p.drawn(settings)) for p in rest])
    chosen = [*chosen, *sorted({pair.key: pair for pair in beside}.values(), key=lambda p: p.key)]
    held = [pair for part in parts for pair in part.held]
    notes = [
        *_made_up(described),
        *_notes(parts, settings, limit),
        *unheld,
        *_of_beside(beside, rest),
    ]
    asked = {key: stimulus for part in parts for key, stimulus in part.stimuli.items()}
    again = data if settings.on_policy is not None else ()
    sampling = {target.share.id: rollout.sampled_as(target.target_dir) for target in again}
    answered = {t.share.id: results.whole(t.target_dir / results.DONE) for t in data}
    cut = frozenset(name for name, done in answered.items() if done.get(results.CUT_PROMPT))
    instead = tuple(_instead(parts, chosen, settings))
    every = [*learnt, *beside]
    return Mix(chosen, every, held, asked, described, notes, sampling, cut, instead, len(beside))


def _instead(
    parts: Sequence[Part], chosen: Sequence[Pair], settings: TrainingSettings
) -> Iterator[Pair]:
    """Yield an answer to each question of a target whose questions are all learnt, by its rule."""
    if settings.eval_share == 0 or not settings.held_out.startswith(held_out.NEVER):
        return
    keys = {pair.key for pair in chosen}
    for part in parts:
        if not part.held:
            yield from part.instead(keys)


def _made_up(described: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield which targets no model answered."""
    for said in described:
        if "backend" in said:
            yield f"{said['name']}: its answers are made up, by the {said['backend']} backend"


def _keep_apart(parts: Sequence[Part], settings: TrainingSettings) -> None:
    """Have no target train on what another holds out.

    What input.yml writes out in one of them is learnt there, and then measured in none.
    """
    if settings.held_out.startswith(held_out.NEVER):
        wanted = {stimulus_of(pair) for part in parts for pair in part.train if part.writes(pair)}
        for part in parts:
            part.held = [p for p in part.held if stimulus_of(p) not in wanted or part.writes(p)]
    held = {stimulus_of(pair) for part in parts for pair in part.held}
    for part in parts:
        kept = [pair for pair in part.train if stimulus_of(pair) not in held]
        part.shared, part.train = len(part.train) - len(kept), kept


def _by_weight(parts: Sequence[Part], settings: TrainingSettings, limit: Limit) -> list[Pair]:
    """Take from each target in proportion to its weight; nothing is taken twice."""
    total = settings.total_trajectories
    if len(parts) == 1 and total is None:
        return parts[0].train
    for part in parts:
        if not part.train:
            raise StageError(
                f"{part.name} has no answer to train on", hint=_why_none([part], limit)
            )
    whole = sum(part.target.share.weight for part in parts)
    shares = [part.target.share.weight / whole for part in parts]
    room = min(len(part.train) / share for part, share in zip(parts, shares, strict=True))
    if total is not None and total > room + 1e-9:
        raise StageError(
            f"total_trajectories is {total}, but the answers there are allow {int(room)}",
            hint="Lower it, raise numq or num_traj_per_stimulus, or change the weights.",
        )
    wanted = room if total is None else total
    chosen: list[Pair] = []
    counts = epoch.apportioned([share * wanted for share in shares])
    for part, share, count in zip(parts, shares, counts, strict=True):
        if not count:
            raise StageError(
                f"{part.name} has {100 * share:.2g} % of the weights, which of {wanted:.0f} "
                "trajectories is none",
                hint="Raise its weight or total_trajectories, or take it out of BAKE.datasets.",
            )
        chosen += sorted(part.drawn(settings)[:count], key=lambda p: p.key)
    return chosen


def _why_none(parts: Sequence[Part], limit: Limit) -> str:
    if long := [tokens for part in parts for tokens in part.long]:
        return (
            f"{len(long)} are longer than {limit.name}, {limit.tokens} tokens "
            f"(the longest has {max(long)}): {limit.raised}."
        )
    if any(part.shared for part in parts):
        return "What it asks is held out of another target: give it questions of its own."
    return "`bgit rollout` shows them: were they all empty?"


def _notes(parts: Sequence[Part], settings: TrainingSettings, limit: Limit) -> Iterator[str]:
    """Yield what a person should know of the mix."""
    if empty := sum(part.empty for part in parts):
        yield f"{empty} empty answers were left out"
    for part in parts:
        if part.long:
            count = len(part.long) + len(part.train) + part.shared + len(part.held)
            yield (
                f"{part.name}: {len(part.long)} of {count} answers were left out: with their "
                f"prompt they are longer than {limit.name}, {limit.tokens} tokens (the "
                f"longest has {max(part.long)})"
            )
        if part.endless:
            answers = f"{part.endless} answer{'s' * (part.endless > 1)}"
            yield (
                f"{part.name}: {answers} that did not end left out: few were cut, or they go round "
                "in circles"
            )
        if part.shared:
            yield (
                f"{part.name}: {part.shared} answers are not trained on, as another target holds "
                "their questions out"
            )
        if alike := _asked_alike(part):
            yield (
                f"warning: {part.name}: {alike} questions come with the same words, and the same "
                "student prompt, of rows whose prompts differ: the bake cannot tell them apart. "
                "Name the variable in the question, or in the student prompt"
            )
        if part.is_anchor:
            yield f"{part.name}: teacher equals student: an anchor that holds the parent still"
    yield from _answered_twice(parts)
    if settings.eval_share == 0:
        yield "nothing is held out (train_eval_split): the card can say nothing"
    for part in parts if settings.held_out.startswith(held_out.NEVER) else ():
        if not part.held and settings.eval_share != 0:
            of = f"{part.name}: " if len(parts) > 1 else ""  # one alone may be renamed
            yield f"{of}nothing is held out, so it is measured on what is learnt"


def _asked_alike(part: Part) -> int:
    """Count the questions of rows that only the teacher's prompt tells apart."""
    share = part.target.share
    teachers: dict[str, list[str]] = {}
    for one in part.stimuli.values():
        if one.values:
            asked = canonical([one.messages, filled(share.student, one.values).as_data()])
            told = canonical(filled(share.teacher, one.values).as_data())
            teachers.setdefault(asked, []).append(told)
    return sum(len(told) for told in teachers.values() if len(set(told)) > 1)


def _of_beside(beside: Sequence[Pair], rest: Sequence[Part]) -> Iterator[str]:
    """Yield how often an epoch has what is replayed, and what holds the parent."""
    for part in rest:
        count = len(of_target(beside, part.target.share.id))
        does = "replayed" if part.target.share.role == REPLAY else "to hold the parent"
        answers = "1 answer" if count == 1 else f"{count} answers"
        yield f"{part.name}: {answers} of an epoch, {does}"


MUCH = 0.1
"""Of the questions of a target: from so many on that another one answers, too, it is said."""


def _answered_twice(parts: Sequence[Part]) -> Iterator[str]:
    """Yield which targets answer the same questions under different prompts: who should win?"""
    for one, other in combinations([part for part in parts if not part.is_anchor], 2):
        ours, theirs = one.target.share, other.target.share
        if ours.teacher == theirs.teacher or ours.student != theirs.student:
            continue
        asked = [{stimulus_of(pair) for pair in part.train} for part in (one, other)]
        both = asked[0] & asked[1]
        if len(both) >= MUCH * min(map(len, asked)) > 0:
            yield (
                f"{len(both)} questions are answered by both {one.name} and {other.name}: where "
                "their prompts disagree, the bake comes to something between. Ask each what only "
                "its prompt is about"
            )


def _described(target: TargetData) -> dict[str, Any]:
    """Return what the record says of a target, after checking that its files are the ones made."""
    answered = results.rows_done(target.target_dir)
    asked = results.rows_done(target.stim_dir)
    if answered is None or asked is None:
        raise StageError(
            f"the answers of {target.share.name} are not complete",
            hint="Run `bgit run stim rollout` first.",
        )
    for folder in (target.stim_dir, target.target_dir):
        if (why := results.changed(folder)) is not None:
            raise ModelError(why, hint="Delete its folder and run the stage again.")
    share, seen = target.share, look.read(target.target_dir)
    return {
        "name": share.name,
        "id": share.id,
        "stim_id": answered["stim_id"],
        "weight": share.weight,
        **({"role": share.role} if share.role else {}),
        "stimuli": asked["count"],
        "writers": asked["writers"],
        "trajectories": answered["count"],
        **({"backend": answered["backend"]} if "backend" in answered else {}),
        "stimuli_digest": asked["digest"],
        "trajectories_digest": answered["digest"],
        "teacher": share.teacher.as_data(),
        "student": share.student.as_data(),
        **({"variables": dict(share.variables)} if share.variables else {}),
        "seconds": {"stim": asked["seconds"], "rollout": answered["seconds"]},
        "notes": [*asked["notes"], *(seen.warnings if seen else ()), *answered["notes"]],
    }
