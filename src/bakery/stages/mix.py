"""Which trajectories a bake trains on and which it is measured on.

Held out by stimulus, chosen by the stimulus's own id: bakes of the same questions hold the same
ones out, and what one target of a bake holds out, no other trains on. Nothing is cut: what is too
long is left out, and said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from bakery import held_out
from bakery.defaults import times_for
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, pair_up
from bakery.errors import ModelError, StageError
from bakery.identity import SamplingSettings, TargetShare, short_id
from bakery.records import Stimulus, Trajectory
from bakery.shaping import TrainingSettings
from bakery.stages import look, rollout
from bakery.stages.endless import endless_of
from bakery.store import results


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

    @property
    def measured(self) -> list[Pair]:
        """What the card is of."""
        return [*self.held_out, *self.instead]


@dataclass(slots=True)
class _Part:
    """What one target brings: pairs to train on and to measure on, and what was left out."""

    target: TargetData
    train: list[Pair]
    held: list[Pair]
    stimuli: dict[str, Stimulus]
    empty: int
    long: list[int]
    """How many tokens the pairs have that are longer than a bake takes."""
    endless: int
    """How many answers were left out because they do not end."""
    shared: int = 0
    """How many pairs answer what another target holds out."""

    @property
    def name(self) -> str:
        return self.target.share.name

    def writes(self, pair: Pair) -> bool:
        """Tell whether input.yml writes the question of a pair out."""
        return self.stimuli[question_of(pair)].is_written_out

    @property
    def is_anchor(self) -> bool:
        """Whether both prompts come to the same tokens, so that nothing is baked in."""
        pairs = [*self.train, *self.held]
        return bool(pairs) and all(pair.is_identical for pair in pairs)


@dataclass(frozen=True, slots=True)
class Limit:
    """The most tokens a pair may have, and who says so."""

    tokens: int
    name: str
    raised: str
    """What a person does about it."""


def limit_of(settings: TrainingSettings, context: int) -> Limit:
    """Return what a configuration allows, or the model's `context` where that is less."""
    if settings.max_length is not None and settings.max_length <= context:
        return Limit(settings.max_length, "BAKE.data.max_length", "raise it")
    return Limit(
        context, "the context of the base", "lower TARGET.max_tokens, or shorten the prompt"
    )


def mix(data: Sequence[TargetData], chat: Chat, settings: TrainingSettings, *, context: int) -> Mix:
    """Read the targets of a bake and share them out by weight.

    A bake takes `total_trajectories`, or all that the weights allow; `context` is how many tokens
    the base was made for.
    """
    limit = limit_of(settings, context)
    described = [_described(target) for target in data]
    parts = [_part(target, chat, settings, limit) for target in data]
    _keep_apart(parts, settings)
    for said, part in zip(described, parts, strict=True):
        if part.is_anchor:
            said["anchor"] = True
    chosen = _by_weight(parts, settings, limit)
    if not chosen:
        raise StageError("no answer has a token to train on", hint=_why_none(parts, limit))
    held = [pair for part in parts for pair in part.held]
    notes = [*_made_up(described), *_notes(parts, settings, limit)]
    asked = {key: stimulus for part in parts for key, stimulus in part.stimuli.items()}
    learnt = _learnt(chosen, asked, settings)
    again = data if settings.on_policy is not None else ()
    sampling = {target.share.id: rollout.sampled_as(target.target_dir) for target in again}
    answered = {t.share.id: results.whole(t.target_dir / results.DONE) for t in data}
    cut = frozenset(name for name, done in answered.items() if done.get(results.CUT_PROMPT))
    instead = tuple(_instead(parts, chosen, settings))
    return Mix(chosen, learnt, held, asked, described, notes, sampling, cut, instead)


def _instead(
    parts: Sequence[_Part], chosen: Sequence[Pair], settings: TrainingSettings
) -> Iterator[Pair]:
    """Yield an answer to each question of a target whose questions are all learnt, by its rule."""
    if settings.eval_share == 0 or not settings.held_out.startswith(held_out.NEVER):
        return
    for part in parts:
        own = of_target(chosen, part.target.share.id) if not part.held else ()
        yield from {question_of(pair): pair for pair in reversed(own)}.values()


def _made_up(described: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield which targets no model answered."""
    for said in described:
        if "backend" in said:
            yield f"{said['name']}: its answers are made up, by the {said['backend']} backend"


def _learnt(
    chosen: Sequence[Pair], asked: Mapping[str, Stimulus], settings: TrainingSettings
) -> list[Pair]:
    """Return pairs as often as an epoch has them: more often what input.yml writes out."""
    written = [pair for pair in chosen if asked[question_of(pair)].is_written_out]
    others = len(chosen) - len(written)
    times = times_for(len(written), others, settings.hardcoded_times)
    more = {pair.key for pair in written}
    return [pair for pair in chosen for _ in range(times if pair.key in more else 1)]


def of_target(pairs: Sequence[Pair], target_id: str) -> list[Pair]:
    """Return the pairs of one target."""
    return [pair for pair in pairs if pair.key.startswith(f"{target_id}/")]


def question_of(pair: Pair) -> str:
    """Return the key `target/stimulus` of the question that a pair answers."""
    return pair.key.rpartition("/")[0]


def _keep_apart(parts: Sequence[_Part], settings: TrainingSettings) -> None:
    """Have no target train on what another holds out.

    What input.yml writes out in one of them is learnt there, and then measured in none.
    """
    if settings.held_out.startswith(held_out.NEVER):
        wanted = {_stimulus(pair) for part in parts for pair in part.train if part.writes(pair)}
        for part in parts:
            part.held = [p for p in part.held if _stimulus(p) not in wanted or part.writes(p)]
    held = {_stimulus(pair) for part in parts for pair in part.held}
    for part in parts:
        kept = [pair for pair in part.train if _stimulus(pair) not in held]
        part.shared, part.train = len(part.train) - len(kept), kept


def _part(target: TargetData, chat: Chat, settings: TrainingSettings, limit: Limit) -> _Part:
    asked = {s.id: s for s in results.stimuli(target.stim_dir)}
    pairs, empty, cut = _pairs(target, chat, asked)
    endless = endless_of(cut, asked, len(pairs)) if settings.leaves_out_endless else set()
    pairs = [pair for pair in pairs if pair.key not in endless]
    long = [length(pair) for pair in pairs if length(pair) > limit.tokens]
    pairs = [pair for pair in pairs if length(pair) <= limit.tokens]
    out = held_out.of({_stimulus(pair): asked[_stimulus(pair)] for pair in pairs}, settings)
    train = [pair for pair in pairs if _stimulus(pair) not in out]
    held = [pair for pair in pairs if _stimulus(pair) in out]
    stimuli = {question_of(pair): asked[_stimulus(pair)] for pair in pairs}
    return _Part(target, train, held, stimuli, empty, long, len(endless))


def length(pair: Pair) -> int:
    """Return the tokens of a pair's longer side: prompt, question and answer."""
    return max(len(pair.teacher.ids), len(pair.student.ids))


def _stimulus(pair: Pair) -> str:
    return pair.key.split("/")[1]


def _pairs(
    target: TargetData, chat: Chat, questions: Mapping[str, Stimulus]
) -> tuple[list[Pair], int, dict[str, Trajectory]]:
    """Return the pairs of a target, how many answers are empty, and those that were cut, by key."""
    pairs, empty, cut = [], 0, {}
    for row in results.trajectories(target.target_dir):
        if not row.response_ids:
            empty += 1
            continue
        if row.stimulus_id not in questions:
            raise StageError(
                f"{target.target_dir / results.TRAJECTORIES} answers other questions than "
                f"{target.stim_dir / results.STIMULI} holds: they were written again",
                hint=f"Delete {target.target_dir} and run `bgit run rollout`.",
            )
        key = f"{target.share.id}/{row.stimulus_id}/{row.sample}"
        if row.finish == "length":
            cut[key] = row
        pairs.append(
            pair_up(
                chat,
                key,
                target.share.teacher,
                target.share.student,
                questions[row.stimulus_id].messages,
                row.response_ids,
            )
        )
    return sorted(pairs, key=lambda p: p.key), empty, cut


def _by_weight(parts: Sequence[_Part], settings: TrainingSettings, limit: Limit) -> list[Pair]:
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
    counts = _apportioned(shares, wanted)
    for part, share, count in zip(parts, shares, counts, strict=True):
        if not count:
            raise StageError(
                f"{part.name} has {100 * share:.2g} % of the weights, which of {wanted:.0f} "
                "trajectories is none",
                hint="Raise its weight or total_trajectories, or take it out of BAKE.datasets.",
            )
        seed = settings.order_seed
        drawn = sorted(part.train, key=lambda p: short_id(["mix", seed, p.key]))
        if settings.held_out.startswith(held_out.NEVER):
            drawn.sort(key=part.writes, reverse=True)
        chosen += sorted(drawn[:count], key=lambda p: p.key)
    return chosen


def _apportioned(shares: Sequence[float], wanted: float) -> list[int]:
    """Round shares to numbers that add up: the largest remainders are rounded up."""
    exact = [wanted * share for share in shares]
    counts = [int(number + 1e-9) for number in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_remainder[: round(wanted) - sum(counts)]:
        counts[i] += 1
    return counts


def _why_none(parts: Sequence[_Part], limit: Limit) -> str:
    if long := [tokens for part in parts for tokens in part.long]:
        return (
            f"{len(long)} are longer than {limit.name}, {limit.tokens} tokens "
            f"(the longest has {max(long)}): {limit.raised}."
        )
    if any(part.shared for part in parts):
        return "What it asks is held out of another target: give it questions of its own."
    return "`bgit rollout` shows them: were they all empty?"


def _notes(parts: Sequence[_Part], settings: TrainingSettings, limit: Limit) -> Iterator[str]:
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
        if part.is_anchor:
            yield f"{part.name}: teacher equals student: an anchor that holds the parent still"
    yield from _answered_twice(parts)
    if settings.eval_share == 0:
        yield "nothing is held out (train_eval_split): the card can say nothing"
    for part in parts if settings.held_out.startswith(held_out.NEVER) else ():
        if not part.held and settings.eval_share != 0:
            of = f"{part.name}: " if len(parts) > 1 else ""  # one alone may be renamed
            yield f"{of}nothing is held out, so it is measured on what is learnt"


MUCH = 0.1
"""Of the questions of a target: from so many on that another one answers, too, it is said."""


def _answered_twice(parts: Sequence[_Part]) -> Iterator[str]:
    """Yield which targets answer the same questions under different prompts: who should win?"""
    for one, other in combinations([part for part in parts if not part.is_anchor], 2):
        ours, theirs = one.target.share, other.target.share
        if ours.teacher == theirs.teacher or ours.student != theirs.student:
            continue
        asked = [{_stimulus(pair) for pair in part.train} for part in (one, other)]
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
        "stimuli": asked["count"],
        "writers": asked["writers"],
        "trajectories": answered["count"],
        **({"backend": answered["backend"]} if "backend" in answered else {}),
        "stimuli_digest": asked["digest"],
        "trajectories_digest": answered["digest"],
        "teacher": share.teacher.as_data(),
        "student": share.student.as_data(),
        "seconds": {"stim": asked["seconds"], "rollout": answered["seconds"]},
        "notes": [*asked["notes"], *(seen.warnings if seen else ()), *answered["notes"]],
    }
