"""On-policy rows: the student answers them as it stands, before every optimiser step they are in.

The parent behind the context then says what it would have said at each of the student's tokens
(GKD, arXiv 2306.13649; MiniLLM, arXiv 2306.08543). Nothing is sampled ahead, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate.utils import gather_object
from torch import nn
from transformers import PreTrainedModel

from bakery.engine.modes import evaluating
from bakery.engine.sampling.sampling import SampleRequest, sample
from bakery.engine.teacher.examples import Example, Examples
from bakery.engine.teacher.scoring import beginning
from bakery.engine.text.views import Pair, View
from bakery.engine.training.rounds import Drawn, Gather, Rounds
from bakery.engine.training.trainer import BakingTrainer
from bakery.errors import ConfigError
from bakery.identity import SamplingSettings
from bakery.records import read_rows

NAME = "on-policy"

ANCHORED = ("reverse_kl", "jsd")
"""Losses that keep a student who learns from its own samples near the teacher."""


class Places(Examples):
    """Examples that are not made yet: what a data loader draws is their places."""

    def __getitem__(self, index: int) -> int:  # type: ignore[override]  # see above
        return index


class OwnAnswers:
    """The student's answers to the rows of one step after the other, kept in the file `kept`."""

    def __init__(self, rounds: Rounds, *, end_ids: frozenset[int], kept: Path) -> None:
        self._rounds, self._end_ids, self._kept = rounds, end_ids, kept
        self._there: set[Drawn] | None = None
        self._asked = self._found = False

    def examples(
        self,
        model: nn.Module,
        step: int,
        drawn: Sequence[Sequence[int]],
        *,
        rank: int = 0,
        gather: Gather = list,
    ) -> list[list[Example]]:
        """Return the examples at the places of each micro-batch of a step.

        Each process asks its own rows, all in one call. Random numbers come from seed, step, row
        and sample alone, so a step that is made again has the same answers.
        """
        self._asked = True
        places = [at for batch in drawn for at in batch]
        with evaluating(model):  # adapters stay as they are
            found, answers = self._rounds.examples_of(
                model, f"{NAME}/{step}", places, end_ids=self._end_ids
            )
        # A row that fills up the batches of the last step may be there twice.
        everyone: dict[str, Drawn] = {}
        for has_target, one in gather([(any(found.values()), answers)]):
            self._found |= has_target
            everyone |= {self._rounds.key(d.round, d.row, d.sample): d for d in one}
        if rank == 0:
            self._keep(everyone)
        return [[found[at] for at in batch] for batch in drawn]

    def say(self) -> None:
        """Announce what was cut or left out so far."""
        self._rounds.say("on-policy answers")

    def check(self) -> None:
        """Refuse to go on where no answer so far had a target; a finished run asks for none."""
        self._rounds.check_targets(self._found or not self._asked)

    def _keep(self, answers: dict[str, Drawn]) -> None:
        if self._there is None:  # those of a run that this one resumes
            self._there = set(read_rows(self._kept, Drawn))
        self._rounds.keep(self._kept, list(answers.values()), self._there)
        self._there.update(answers.values())


class Continuations:
    """The student's answers to the prompts of finished pairs, whose own answers are not used.

    `sampling` says how, by the first part of a pair's key.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        sampling: Mapping[str, SamplingSettings],
        *,
        end_ids: frozenset[int],
        pad_id: int,
        seed: int,
    ) -> None:
        self._pairs, self._sampling, self._seed = pairs, sampling, seed
        self._end_ids, self._pad_id = end_ids, pad_id

    def examples(
        self,
        model: PreTrainedModel,
        step: int,
        drawn: Sequence[Sequence[int]],
        *,
        rank: int = 0,
        gather: Gather = list,
    ) -> list[list[Example]]:
        """Return the examples at the places of each micro-batch of a step.

        Prompts whose answers are sampled in the same way are asked in one call.
        """
        asked: dict[SamplingSettings, dict[str, Pair]] = {}
        for pair in (self._pairs[at] for batch in drawn for at in batch):
            settings = self._sampling[pair.key.split("/")[0]]
            asked.setdefault(settings, {})[self._key(step, pair)] = pair
        said: dict[str, tuple[int, ...]] = {}
        with evaluating(model):  # adapters stay as they are
            for settings, pairs in asked.items():
                requests = [SampleRequest(k, tuple(beginning(p.student))) for k, p in pairs.items()]
                for samples in sample(
                    model, requests, settings, end_ids=self._end_ids, pad_id=self._pad_id
                ):
                    said |= {s.key: s.ids for s in samples}
        return [[[self._said(step, self._pairs[at], said)] for at in batch] for batch in drawn]

    def _said(self, step: int, pair: Pair, said: Mapping[str, tuple[int, ...]]) -> Pair:
        key = self._key(step, pair)
        views = []
        for view in (pair.teacher, pair.student):
            start = len(beginning(view))
            ids = (*view.ids[:start], *said[key])
            views.append(View(ids, ((start, len(ids)),)))
        return Pair(key, *views)

    def _key(self, step: int, pair: Pair) -> str:
        return f"{self._seed}/{NAME}/{step}/{pair.key}"


class Answers(Protocol):
    """Who has the student answer."""

    def examples(
        self,
        model: PreTrainedModel,
        step: int,
        drawn: Sequence[Sequence[int]],
        *,
        rank: int = 0,
        gather: Gather = list,
    ) -> list[list[Example]]:
        """Return the examples at the places of each micro-batch of a step."""


class OnPolicyTrainer(BakingTrainer):
    """A trainer whose rows may be answered by its student, just before the step they are in."""

    data_collator: Callable[..., Any]
    _own: Answers | None = None

    def learn_from(self, own: Answers) -> None:
        """Have the places that are drawn, `Places`, answered by the student from now on."""
        self._own, self._collate, self.data_collator = own, self.data_collator, list

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """Return the micro-batches of a step; on-policy rows are answered here, all at once."""
        if self._own is not None and not self.is_finished:
            places = list(islice(epoch_iterator, num_batches))
            made = self._own.examples(
                self.model,
                self.state.global_step,
                places,
                rank=self.args.process_index,
                gather=self._gather,
            )
            epoch_iterator = iter([_whole(self._collate, examples) for examples in made])
        return super().get_batch_samples(epoch_iterator, num_batches, device)

    @property
    def _gather(self) -> Gather:
        return gather_object if self.args.world_size > 1 else list


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
