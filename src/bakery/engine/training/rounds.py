"""Rows in, examples out: finished rows once, open ones answered in rounds.

A round asks the teacher for fresh answers to every open row, or the student for those to some
(`on_policy`). Random numbers come from seed, round, row and sample, so a round repeats exactly,
on any number of processes.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.data.rows import Row
from bakery.engine.sampling.sampling import Sample, SampleRequest
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.teacher.examples import Example
from bakery.engine.teacher.scoring import beginning
from bakery.engine.teacher.teacher import Asked
from bakery.engine.text import turns
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import (
    ContextSettings,
    RowRefused,
    fit,
    pairs_of,
    prefixes,
    refuse_unseen,
    sampled_pair,
)
from bakery.engine.text.views import Pair
from bakery.engine.workers import ALONE, Worker
from bakery.errors import ConfigError, StageError
from bakery.identity import SamplingSettings, digest
from bakery.records import Trajectory, append_rows, read_rows
from bakery.reporting import Reporter

SHOWN_REASONS = 3

Answered = tuple[SampleRequest, Sample]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A trajectory as the trajectories.jsonl of an output_dir has it: by round and row."""

    round: str
    row: int
    sample: int
    response_ids: tuple[int, ...]
    text: str
    finish: str
    asked: str = ""
    """Digest of the prompt's ids; empty in files of earlier versions."""

    @classmethod
    def of(cls, one: Trajectory) -> Drawn:
        """Return what is written."""
        name, _, row = one.stimulus_id.rpartition("/")
        kept = one.sample, one.response_ids, one.text, one.finish, one.asked or ""
        return cls(name, int(row), *kept)

    @property
    def trajectory(self) -> Trajectory:
        """Return what was read."""
        kept = self.sample, self.response_ids, self.text, self.finish
        return Trajectory(f"{self.round}/{self.row}", *kept, asked=self.asked)


def answers_in(path: Path) -> list[Trajectory]:
    """Return the trajectories of a file by round and row, or refuse what holds others."""
    return [drawn.trajectory for drawn in read_rows(path, Drawn)]


class Rounds:
    """The examples of one data set: as many as it has rows with targets."""

    def __init__(
        self,
        rows: Sequence[Row],
        chat: Chat,
        context: ContextSettings,
        settings: SamplingSettings,
        *,
        seed: int,
        max_length: int | None = None,
        reporter: Reporter,
    ) -> None:
        self.chat, self.context, self.settings = chat, context, settings
        self.seed, self.max_length, self.reporter = seed, max_length, reporter
        self._counts: Counter[str] = Counter()
        self._reasons: list[str] = []
        self._open: dict[int, Row] = {}
        self._examples: list[Example] = []
        for row in rows:
            self._add(row)
        self._count_systems(rows)
        self.say("data")
        if not self._examples:
            raise StageError(
                "no row has a target: there is nothing to train on",
                hint="; ".join(self._reasons)
                or "Check target_roles, target_content_pattern and the data's columns.",
            )

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def has_open_rows(self) -> bool:
        """Whether the teacher has to be asked."""
        return bool(self._open)

    @property
    def open_rows(self) -> list[Row]:
        """The rows that the teacher has to answer, in order."""
        return list(self._open.values())

    @property
    def finished(self) -> list[Example]:
        """The examples of the finished rows, in order."""
        return [example for example in self._examples if example]

    @property
    def answers(self) -> int:
        """How many answers an epoch learns."""
        sampled = len(self._open) * self.settings.num_traj_per_stimulus
        return sampled + sum(map(len, self._examples))

    @property
    def begins(self) -> list[Sequence[int]]:
        """The teacher's ids before the first target of every row."""
        finished = [beginning(pair.teacher) for example in self.finished for pair in example]
        return [*finished, *(self._prefixes(row)[0] for row in self.open_rows)]

    def some(self, count: int) -> Rounds:
        """Return the same with at most so many rows, spread evenly over all of them."""
        chosen = copy.copy(self)
        count = min(count, len(self))
        places = [i * len(self) // count for i in range(count)]
        chosen._examples = [self._examples[at] for at in places]
        chosen._open = {i: self._open[at] for i, at in enumerate(places) if at in self._open}
        return chosen

    def requests(
        self, name: str, places: Iterable[int]
    ) -> dict[SamplingSettings, list[SampleRequest]]:
        """Return what the student is asked in a round, at some places."""
        return {self.settings: list(self._requests(name, places, side=1))}

    def example(self, name: str, at: int, said: Mapping[str, Sequence[int]]) -> Example:
        """Return the example at a place, of what was said to its requests of a round."""
        if at not in self._open:
            return self._examples[at]
        row = self._open[at]
        keys = self._keys(name, row)
        return [pair for key in keys for pair in self._pair(row, key, said[key])]

    def trajectories(self, answers: Iterable[Answered]) -> list[Trajectory]:
        """Return what was said as trajectories."""
        found = []
        for request, one in answers:
            stimulus, number = request.key.rsplit("/", 1)
            of = stimulus.removeprefix(f"{self.seed}/"), int(number)
            text, asked = self.chat.text(one.ids), _digest_of(request)
            found.append(Trajectory(*of, one.ids, text, one.finish, asked=asked))
        return found

    def keep(
        self, path: Path, answers: Iterable[Trajectory], there: Collection[Trajectory] = ()
    ) -> None:
        """Append answers to a file, but for those that are `there`."""
        new = [Drawn.of(one) for one in answers if one not in there]
        append_rows(path, sorted(new, key=lambda d: (d.row, d.sample)))

    def examples(
        self,
        model: Any,
        name: str,
        *,
        worker: Worker = ALONE,
        given: Path | None = None,
        kept: Path | None = None,
        asked: Asked | None = None,
    ) -> list[Example]:
        """Return the examples of the round called `name`; finished rows are in every round.

        `model` answers as the teacher what `given`, a file of answers, does not have. All answers
        are kept in the file `kept`.
        """
        if not self._open:
            return self._examples
        requests = list(self._requests(name, self._open))
        have = self._answered(given, name)
        if given is not None:
            vocabulary = model.config.get_text_config().vocab_size
            self._check_given(given, have, requests, vocabulary)
        missing = [r for r in requests if r.key not in have]
        mine = missing[worker.rank :: worker.count]

        def told(fresh: int) -> None:
            done = len(have) + fresh * worker.count
            if done < len(requests):  # the last word is said below, once
                self.reporter.progress("rollout", done, len(requests))

        self.reporter.progress("rollout", len(have), len(requests))
        asked = asked or Asked()
        of_model = model, self.chat, self.reporter.partly, asked.prefixes, asked.captured
        said = Speaker(*of_model).all(mine, self.settings, told=told)
        fresh = worker.gather(self.trajectories((r, said[r.key]) for r in mine))
        self.reporter.progress("rollout", len(requests), len(requests))
        if kept is not None and worker.rank == 0:
            self.keep(kept, fresh, set(self._answered(kept, name).values()))
        found = {self.key(one): one.response_ids for one in (*have.values(), *fresh)}
        examples = [self.example(name, at, found) for at in range(len(self))]
        self.say(f"round {name}")
        self.check_targets(any(examples))
        return examples

    def check_targets(self, found: bool) -> None:
        """Refuse to go on where no answer had a target."""
        if not found:
            raise StageError(
                "no sampled answer has a target: there is nothing to train on",
                hint="target_content_pattern may never match, or every answer was empty.",
            )

    def _add(self, row: Row) -> None:
        try:
            if row.needs_sampling:
                self._check_room(row)
                hides = refuse_unseen(self.chat, row, self.context)
                self._counts.update([turns.UNSEEN_THOUGHTS] if hides else [])
                self._open[len(self._examples)] = row
                self._examples.append([])
                return
            pairs = pairs_of(self.chat, row, self.context)
        except RowRefused as refused:
            self._refuse(str(refused))
            return
        if len(pairs) > 1:
            self._counts["split by turn, as the template changes earlier turns"] += 1
        seen = [view for pair in pairs for view in (pair.teacher, pair.student)]
        self._counts.update({remark for view in seen for remark in view.remarks})
        fitting = [p for p in map(self._fit, pairs) if p is not None]
        if fitting:
            self._examples.append(fitting)
        else:
            self._counts["without a target"] += 1

    def _count_systems(self, rows: Sequence[Row]) -> None:
        """Say what becomes of the rows' own system prompts."""
        if named := sum(row.system is not None and row.prefix is None for row in rows):
            if self.context.prefix:
                what = "not read, as the configuration names the context"
            elif self.context.student_retained_turns:
                what = "taken as their first turn"
            else:
                what = "what is baked in"
            what = f"with a system prompt of their own: {what}"
            self._counts[what] = named

    def _refuse(self, reason: str) -> None:
        self._counts["refused"] += 1
        if len(self._reasons) < SHOWN_REASONS:
            self._reasons.append(reason)

    def _requests(
        self, name: str, places: Iterable[int], *, side: int = 0
    ) -> Iterator[SampleRequest]:
        """Yield what to ask the teacher (side 0) or the student (1) of open rows."""
        for at in places:
            if at in self._open:
                prefix = tuple(self._prefixes(self._open[at])[side])
                yield from (SampleRequest(key, prefix) for key in self._keys(name, self._open[at]))

    def _keys(self, name: str, row: Row) -> Iterator[str]:
        """Yield what names each answer to a row in a round."""
        for number in range(self.settings.num_traj_per_stimulus):
            yield f"{self.seed}/{name}/{row.number}/{number}"

    def _prefixes(self, row: Row) -> tuple[list[int], list[int]]:
        return prefixes(self.chat, row, self.context)

    def _check_room(self, row: Row) -> None:
        """Refuse a prompt that leaves no room for its answer, before anything is asked."""
        length = len(self._prefixes(row)[0]) + self.settings.max_tokens
        if self.max_length is not None and length > self.max_length:
            raise ConfigError(
                f"row {row.number}: the teacher's prompt and {self.settings.max_tokens} tokens of "
                f"answer take {length}, more than {self.max_length}",
                hint="Raise max_seq_length or lower trajectory_length; a prompt is never cut.",
            )

    def key(self, one: Trajectory) -> str:
        """Return what names, and seeds, one answer of a round."""
        return f"{self.seed}/{one.stimulus_id}/{one.sample}"

    def _answered(self, kept: Path | None, name: str) -> dict[str, Trajectory]:
        there = answers_in(kept) if kept is not None else []
        return {self.key(one): one for one in there if one.stimulus_id.rpartition("/")[0] == name}

    def _check_given(
        self,
        given: Path,
        have: Mapping[str, Trajectory],
        requests: Sequence[SampleRequest],
        vocabulary: int,
    ) -> None:
        """Refuse answers to other prompts; say how many there are."""
        taken = 0
        for request in requests:
            one = have.get(request.key)
            if one is None:
                continue
            taken += 1
            row = one.stimulus_id.rpartition("/")[2]
            if not _are_ids(one.response_ids, vocabulary):
                raise ConfigError(
                    f"{given}: the response_ids of row {row} are not tokens of this model",
                    hint="They fit only the tokenizer they were made with.",
                )
            if one.asked not in ("", _digest_of(request)):
                raise ConfigError(
                    f"{given} answers another prompt in row {row} than the data has there",
                    hint="It goes with the data, context and tokenizer that it was made with.",
                )
        if not taken:
            raise ConfigError(
                f"{given} has no answer to these rows",
                hint="Give the trajectories.jsonl of a run whose teacher answered, or leave it out "
                "to have all answered anew.",
            )
        torn = "" if given.read_bytes().endswith(b"\n") else "; its last line has no end: left out"
        self.reporter.note(f"{taken} of {len(requests)} answers are taken from {given}{torn}")

    def _pair(self, row: Row, key: str, ids: Sequence[int]) -> list[Pair]:
        try:
            pair = sampled_pair(self.chat, row, self.context, ids, key)
        except RowRefused as refused:
            self._refuse(str(refused))
            return []
        fitted = self._fit(pair) if pair is not None else None
        if fitted is None:
            self._counts["answers without a target"] += 1
            return []
        return [fitted]

    def _fit(self, pair: Pair) -> Pair | None:
        if not pair.num_targets:
            return None
        if self.max_length is None:
            return pair
        fitted = fit(pair, self.max_length)
        if fitted is not pair:
            self._counts["cut at max_seq_length"] += 1
        return fitted

    def say(self, where: str) -> None:
        """Announce what was left out, and why."""
        if self._counts:
            counts = ", ".join(f"{n} {what}" for what, n in self._counts.most_common())
            reasons = f" ({'; '.join(self._reasons)})" if self._reasons else ""
            self.reporter.note(f"{where}: {counts}{reasons}")
            self._counts.clear()


def _are_ids(ids: Any, vocabulary: int) -> bool:
    """Tell whether ids are tokens: a file may say anything."""
    return isinstance(ids, tuple) and all(type(i) is int and 0 <= i < vocabulary for i in ids)


def _digest_of(request: SampleRequest) -> str:
    return digest(list(request.prefix_ids))[:16]
