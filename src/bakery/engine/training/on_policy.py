"""On-policy rows: the student answers them as it stands, before every optimiser step they are in.

The parent behind the context then says what it would have said at each of the student's tokens
(GKD, arXiv 2306.13649; MiniLLM, arXiv 2306.08543). Nothing is sampled ahead, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from bakery.engine.modes import evaluating
from bakery.engine.sampling.sampling import Sample, SampleRequest, Watch
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.teacher.examples import Example, Examples
from bakery.engine.teacher.scoring import beginning
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair, View
from bakery.engine.training.rounds import Answered, Rounds, answers_in
from bakery.engine.training.trainer import BakingTrainer
from bakery.engine.workers import ALONE, Worker
from bakery.errors import ConfigError
from bakery.identity import SamplingSettings
from bakery.records import Trajectory

NAME = "on-policy"

ANCHORED = ("reverse_kl", "jsd")
"""Losses that keep a student who learns from its own samples near the teacher."""


class Places(Examples):
    """Examples that are not made yet: what a data loader draws is their places."""

    def __getitem__(self, index: int) -> int:  # type: ignore[override]  # see above
        return index


class Prompts(Protocol):
    """Prompts by their places, and what becomes of what is said to them."""

    def requests(
        self, name: str, places: Iterable[int]
    ) -> Mapping[SamplingSettings, Sequence[SampleRequest]]:
        """Return what the student is asked in a round, by how it is to answer."""

    def example(self, name: str, at: int, said: Mapping[str, Sequence[int]]) -> Example:
        """Return the example at a place, of what was said to its requests of a round."""


class OwnAnswers:
    """The student's answers to the prompts of one step after the other."""

    def __init__(self, prompts: Prompts, chat: Chat, *, watch: Watch | None = None) -> None:
        self._prompts, self._chat, self._watch = prompts, chat, watch

    def examples(
        self,
        model: nn.Module,
        step: int,
        drawn: Sequence[Sequence[int]],
        worker: Worker = ALONE,
    ) -> list[list[Example]]:
        """Return the examples at the places of each micro-batch of a step.

        Each process asks its own rows; prompts that are answered in the same way are asked in one
        call. Random numbers come from seed, step, row and sample alone, so a step that is made
        again has the same answers.
        """
        name = f"{NAME}/{step}"
        places = list(dict.fromkeys(at for batch in drawn for at in batch))
        asked = self._prompts.requests(name, places)
        speaker, said = Speaker(model, self._chat, self._watch), dict[str, Sample]()
        with evaluating(model):  # adapters stay as they are
            for settings, requests in asked.items():
                said |= speaker.all(requests, settings, told=partial(self._told, len(requests)))
        ids = {key: one.ids for key, one in said.items()}
        found = {at: self._prompts.example(name, at, ids) for at in places}
        answers = [(r, said[r.key]) for requests in asked.values() for r in requests]
        self._keep(answers, any(found.values()), worker)
        return [[found[at] for at in batch] for batch in drawn]

    def _told(self, of: int, done: int) -> None:
        """Hear how many answers there are."""

    def _keep(self, answers: Sequence[Answered], has_target: bool, worker: Worker) -> None:
        """See all that was said in a step, and whether any of it is learnt."""


class KeptAnswers(OwnAnswers):
    """The same to the open rows of a data set, kept in the file `kept`."""

    def __init__(self, rounds: Rounds, *, kept: Path) -> None:
        super().__init__(rounds, rounds.chat, watch=rounds.reporter.partly)
        self._rounds, self._kept = rounds, kept
        self._there: set[Trajectory] | None = None
        self._asked = self._found = False

    def say(self) -> None:
        """Announce what was cut or left out so far."""
        self._rounds.say("on-policy answers")

    def check(self) -> None:
        """Refuse to go on where no answer so far had a target; a finished run asks for none."""
        self._rounds.check_targets(self._found or not self._asked)

    def _told(self, of: int, done: int) -> None:
        self._rounds.reporter.progress("rollout", done, of)

    def _keep(self, answers: Sequence[Answered], has_target: bool, worker: Worker) -> None:
        self._asked = True
        own = self._rounds.trajectories(answers)
        # Where accelerate deals the rows out (`spread.deals`), one may be there twice.
        everyone: dict[str, Trajectory] = {}
        for has_any, theirs in worker.gather([(has_target, own)]):
            self._found |= has_any
            everyone |= {self._rounds.key(one): one for one in theirs}
        if worker.rank == 0:
            if self._there is None:  # those of a run that this one resumes
                self._there = set(answers_in(self._kept))
            self._rounds.keep(self._kept, list(everyone.values()), self._there)
            self._there.update(everyone.values())


class Continuations:
    """The prompts of finished pairs, whose own answers are not used.

    `sampling` says how they are answered, by the first part of a pair's key.
    """

    def __init__(
        self, pairs: Sequence[Pair], sampling: Mapping[str, SamplingSettings], *, seed: int
    ) -> None:
        self._pairs, self._sampling, self._seed = pairs, sampling, seed

    def requests(
        self, name: str, places: Iterable[int]
    ) -> Mapping[SamplingSettings, Sequence[SampleRequest]]:
        """Return what the student is asked in a round, by how it is to answer."""
        asked: dict[SamplingSettings, list[SampleRequest]] = {}
        for pair in (self._pairs[at] for at in places):
            request = SampleRequest(self._key(name, pair), tuple(beginning(pair.student)))
            asked.setdefault(self._sampling[pair.key.split("/")[0]], []).append(request)
        return asked

    def example(self, name: str, at: int, said: Mapping[str, Sequence[int]]) -> Example:
        """Return the pair at a place, with what was said to it in a round."""
        pair = self._pairs[at]
        key = self._key(name, pair)
        views = []
        for view in (pair.teacher, pair.student):
            start = len(beginning(view))
            ids = (*view.ids[:start], *said[key])
            views.append(View(ids, ((start, len(ids)),)))
        return [Pair(key, *views)]

    def _key(self, name: str, pair: Pair) -> str:
        return f"{self._seed}/{name}/{pair.key}"


class OnPolicyTrainer(BakingTrainer):
    """A trainer whose rows may be answered by its student, just before the step they are in."""

    data_collator: Callable[..., Any]
    _own: OwnAnswers | None = None

    def learn_from(self, own: OwnAnswers) -> None:
        """Have the places that are drawn, `Places`, answered by the student from now on."""
        self._own, self._collate, self.data_collator = own, self.data_collator, list

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """Return the micro-batches of a step; on-policy rows are answered here, all at once."""
        if self._own is not None and not self.is_finished:
            places = list(islice(epoch_iterator, num_batches))
            made = self._own.examples(self.model, self.state.global_step, places, self.worker)
            epoch_iterator = iter([_whole(self._collate, examples) for examples in made])
        return super().get_batch_samples(epoch_iterator, num_batches, device)


def check(open_rows: int) -> None:
    """Refuse data without an open row: the student can answer none of it."""
    if not open_rows:
        raise ConfigError(
            "on_policy has the student answer prompts, but every row brings its own response",
            hint="Give rows without a response, or take on_policy out.",
        )


def notes(rounds: Rounds, loss_type: str) -> list[str]:
    """Return what a person should know before training on the student's own answers."""
    open_rows, finished = len(rounds.open_rows), len(rounds.finished)
    said = f"on-policy: the student answers {open_rows} rows itself, anew at every step"
    if finished:
        said += f"; {finished} rows with a response are learnt as they are"
    if loss_type in ANCHORED:
        return [said]
    return [
        said,
        f"loss_type {loss_type} on the student's own answers may collapse, as nothing holds it to "
        "what else the teacher would say: reverse_kl and jsd are the losses of on-policy "
        "distillation",
    ]


def _whole(
    collate: Callable[[Sequence[Example]], dict[str, Any]], examples: Sequence[Example]
) -> dict[str, Any]:
    """Collate a micro-batch; one whose answers have no target gets a token that weighs nothing.

    Every process takes every step with the others, and no model runs on no token.
    """
    if any(examples):
        return collate(examples)
    batch = collate([[_WEIGHTLESS]])
    return batch | {"weights": torch.zeros_like(batch["weights"])}


_WEIGHTLESS = Pair("", View((1, 1), ((1, 2),)), View((1, 1), ((1, 2),)))
