"""Rows in, examples out: finished rows once, open ones answered by the teacher in rounds.

A round asks the teacher for fresh answers to every open row. Random numbers come from seed,
round, row and sample, so a round repeats exactly, on any number of processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.engine.chat import Chat
from bakery.engine.conversations import (
    ContextSettings,
    RowRefused,
    fit,
    pairs_of,
    prefixes,
    sampled_pair,
)
from bakery.engine.data.rows import Row
from bakery.engine.examples import Example
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.sampling import Sample, SampleRequest, sample
from bakery.engine.views import Pair
from bakery.errors import ConfigError, StageError
from bakery.identity import SamplingSettings
from bakery.records import append_rows, read_rows
from bakery.reporting import Reporter

Gather = Callable[[list[Any]], list[Any]]
"""Collects one list from the lists of all processes."""

SHOWN_REASONS = 3


@dataclass(frozen=True, slots=True)
class Drawn:
    """One answer of a round, as it is kept in trajectories.jsonl."""

    round: str
    row: int
    sample: int
    response_ids: tuple[int, ...]
    text: str
    finish: str


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
        self._open: list[tuple[int, Row]] = []
        self._examples: list[Example] = []
        for row in rows:
            self._add(row)
        self._say("data")
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
        return [row for _, row in self._open]

    @property
    def finished(self) -> list[Example]:
        """The examples of the finished rows, in order."""
        return [example for example in self._examples if example]

    def examples(
        self,
        model: Any,
        name: str,
        *,
        end_ids: frozenset[int],
        rank: int = 0,
        world: int = 1,
        gather: Gather = list,
        given: Path | None = None,
        kept: Path | None = None,
        prefixes: Prefixes | None = None,
    ) -> list[Example]:
        """Return the examples of the round called `name`; finished rows are in every round.

        `model` answers as the teacher what `given`, a file of answers, does not have. All answers
        are kept in the file `kept`.
        """
        if not self._open:
            return self._examples
        examples = list(self._examples)
        for at, _ in self._open:
            examples[at] = []
        requests, owners = self._requests(name)
        have = self._answered(given, name)
        missing = [r for r in requests if r.key not in have]
        fresh: list[Drawn] = []
        self.reporter.progress("rollout", len(have), len(requests))
        for batch in sample(
            model,
            missing[rank::world],
            self.settings,
            end_ids=end_ids,
            pad_id=self.chat.pad_id,
            prefixes=prefixes,
        ):
            fresh += [self._drawn(name, owners[s.key], s) for s in batch]
            done = len(have) + len(fresh) * world
            if done < len(requests):  # the last word is said below, once
                self.reporter.progress("rollout", done, len(requests))
        fresh = gather(fresh)
        self.reporter.progress("rollout", len(requests), len(requests))
        if kept is not None and rank == 0:
            there = self._answered(kept, name)
            new = [d for d in fresh if self._key(name, d.row, d.sample) not in there]
            append_rows(kept, sorted(new, key=lambda d: (d.row, d.sample)))
        drawn = {self._key(name, d.row, d.sample): d for d in (*have.values(), *fresh)}
        for request in requests:
            at, row, _ = owners[request.key]
            examples[at] = [*examples[at], *self._pair(row, drawn[request.key])]
        self._say(f"round {name}")
        if not any(examples):
            raise StageError(
                "no sampled answer has a target: there is nothing to train on",
                hint="target_content_pattern may never match, or every answer was empty.",
            )
        return examples

    def _add(self, row: Row) -> None:
        try:
            if row.needs_sampling:
                self._check_room(row)
                self._open.append((len(self._examples), row))
                self._examples.append([])
                return
            pairs = pairs_of(self.chat, row, self.context)
        except RowRefused as refused:
            self._refuse(str(refused))
            return
        if len(pairs) > 1:
            self._counts["split by turn, as the template changes earlier turns"] += 1
        fitting = [p for p in map(self._fit, pairs) if p is not None]
        if fitting:
            self._examples.append(fitting)
        else:
            self._counts["without a target"] += 1

    def _refuse(self, reason: str) -> None:
        self._counts["refused"] += 1
        if len(self._reasons) < SHOWN_REASONS:
            self._reasons.append(reason)

    def _requests(self, name: str) -> tuple[list[SampleRequest], dict[str, tuple[int, Row, int]]]:
        requests, owners = [], {}
        for at, row in self._open:
            prefix = tuple(self._prefix(row))
            for number in range(self.settings.num_traj_per_stimulus):
                key = self._key(name, row.number, number)
                requests.append(SampleRequest(key, prefix))
                owners[key] = (at, row, number)
        return requests, owners

    def _prefix(self, row: Row) -> list[int]:
        return prefixes(self.chat, row, self.context)[0]

    def _check_room(self, row: Row) -> None:
        """Refuse a prompt that leaves no room for its answer, before anything is asked."""
        length = len(self._prefix(row)) + self.settings.max_tokens
        if self.max_length is not None and length > self.max_length:
            raise ConfigError(
                f"row {row.number}: the teacher's prompt and {self.settings.max_tokens} tokens of "
                f"answer take {length}, more than {self.max_length}",
                hint="Raise max_seq_length or lower trajectory_length; a prompt is never cut.",
            )

    def _key(self, name: str, row: int, number: int) -> str:
        return f"{self.seed}/{name}/{row}/{number}"

    def _answered(self, kept: Path | None, name: str) -> dict[str, Drawn]:
        rows = read_rows(kept, Drawn) if kept is not None else []
        return {self._key(name, d.row, d.sample): d for d in rows if d.round == name}

    def _drawn(self, name: str, owner: tuple[int, Row, int], s: Sample) -> Drawn:
        _, row, number = owner
        return Drawn(name, row.number, number, s.ids, self.chat.text(s.ids), s.finish)

    def _pair(self, row: Row, drawn: Drawn) -> list[Pair]:
        key = self._key(drawn.round, drawn.row, drawn.sample)
        try:
            pair = sampled_pair(self.chat, row, self.context, drawn.response_ids, key)
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

    def _say(self, where: str) -> None:
        """Announce what was left out, and why."""
        if self._counts:
            counts = ", ".join(f"{n} {what}" for what, n in self._counts.most_common())
            reasons = f" ({'; '.join(self._reasons)})" if self._reasons else ""
            self.reporter.note(f"{where}: {counts}{reasons}")
            self._counts.clear()
