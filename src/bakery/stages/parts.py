"""What one target brings to a mix: pairs to learn and to measure on, and what was left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bakery import held_out
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, pair_up
from bakery.errors import StageError
from bakery.identity import short_id
from bakery.records import Stimulus, Trajectory
from bakery.shaping import TrainingSettings
from bakery.shares import REPLAY, TargetShare
from bakery.stages.endless import endless_of
from bakery.stages.longest import Limit
from bakery.store import results
from bakery.variables import filled


@dataclass(frozen=True, slots=True)
class TargetData:
    """A target's share, and the folders that hold its questions and answers."""

    share: TargetShare
    stim_dir: Path
    target_dir: Path


@dataclass(slots=True)
class Part:
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
    is_lost: bool = False
    """Whether it is an anchor that could hold nothing still."""

    @property
    def name(self) -> str:
        return self.target.share.name

    def writes(self, pair: Pair) -> bool:
        """Tell whether input.yml writes the question of a pair out."""
        return self.stimuli[question_of(pair)].is_written_out

    def drawn(self, settings: TrainingSettings) -> list[Pair]:
        """Return the pairs to train on in the order in which they are taken.

        Of what is replayed the teacher is the parent without the prompt, which knows it. Behind the
        prompt it would teach the target again as it obeys it today: in the voice of later bakes,
        or not at all.
        """
        seed = settings.order_seed
        drawn = sorted(self.train, key=lambda p: short_id(["mix", seed, p.key]))
        if settings.held_out.startswith(held_out.NEVER):
            drawn.sort(key=self.writes, reverse=True)
        if self.target.share.role == REPLAY:
            drawn = [Pair(p.key, p.student, p.student) for p in drawn]
        return drawn

    def instead(self, chosen: Collection[str]) -> Iterator[Pair]:
        """Yield what is measured where nothing is held out: an answer to each question `chosen`.

        That is by the prompt, also of what is replayed: such a pair has a key of its own.
        """
        own = {question_of(p): p for p in reversed(self.train) if p.key in chosen}
        again = self.target.share.role == REPLAY
        for pair in own.values():
            yield replace(pair, key=f"{pair.key}~") if again else pair

    @property
    def is_anchor(self) -> bool:
        """Whether both prompts come to the same tokens, so that nothing is baked in."""
        pairs = [*self.train, *self.held]
        return bool(pairs) and all(pair.is_identical for pair in pairs)


def of_target(pairs: Sequence[Pair], target_id: str) -> list[Pair]:
    """Return the pairs of one target."""
    return [pair for pair in pairs if pair.key.startswith(f"{target_id}/")]


def question_of(pair: Pair) -> str:
    """Return the key `target/stimulus` of the question that a pair answers."""
    return pair.key.rpartition("/")[0]


def part_of(target: TargetData, chat: Chat, settings: TrainingSettings, limit: Limit) -> Part:
    """Read the pairs of a target, and hold some of its questions out."""
    asked = {s.id: s for s in results.stimuli(target.stim_dir)}
    pairs, empty, cut = _pairs(target, chat, asked)
    endless = endless_of(cut, asked, len(pairs)) if settings.leaves_out_endless else set()
    pairs = [pair for pair in pairs if pair.key not in endless]
    long = [length(pair) for pair in pairs if length(pair) > limit.tokens]
    pairs = [pair for pair in pairs if length(pair) <= limit.tokens]
    out = held_out.of({stimulus_of(pair): asked[stimulus_of(pair)] for pair in pairs}, settings)
    train = [pair for pair in pairs if stimulus_of(pair) not in out]
    held = [pair for pair in pairs if stimulus_of(pair) in out]
    stimuli = {question_of(pair): asked[stimulus_of(pair)] for pair in pairs}
    return Part(target, train, held, stimuli, empty, long, len(endless))


def length(pair: Pair) -> int:
    """Return the tokens of a pair's longer side: prompt, question and answer."""
    return max(len(pair.teacher.ids), len(pair.student.ids))


def stimulus_of(pair: Pair) -> str:
    """Return the id of the question that a pair answers, whichever target asks it."""
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
        asked = questions[row.stimulus_id]
        key = f"{target.share.id}/{row.stimulus_id}/{row.sample}"
        if row.finish == "length":
            cut[key] = row
        pairs.append(
            pair_up(
                chat,
                key,
                filled(target.share.teacher, asked.values),
                filled(target.share.student, asked.values),
                asked.messages,
                row.response_ids,
            )
        )
    return sorted(pairs, key=lambda p: p.key), empty, cut
