"""Answers and divergences of the sides of one bake: what every axis is measured with.

Shapes: N target positions · D features · V vocabulary · K likeliest tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from bakery.engine.loss.readout import Readout
from bakery.engine.teacher.scoring import features_of
from bakery.engine.text.views import View
from bakery.errors import ConfigError
from bakery.evals.sides import Conversation, Said, Side, Sides
from bakery.evals.subject import Asked
from bakery.evals.suites import Suite
from bakery.identity import SamplingSettings
from bakery.records import Prompt
from bakery.variables import Values, filled

LIKELIEST = 5
"""Tokens at a position of which it is said how many both have."""

MOST_LOGITS = 1 << 25
"""Logits of one side that are made at once."""


@dataclass(frozen=True, slots=True)
class Case:
    """A conversation that ends with a question, and the ids of an answer to it."""

    messages: Conversation
    ids: tuple[int, ...]
    values: Values | None = None
    """What fills the variables of the prompt for it."""


@dataclass(frozen=True, slots=True)
class Near:
    """How near two sides are over the tokens of one answer: sums, and the worst token."""

    tokens: int
    forward: float
    """Σ KL(first ‖ second), in nats."""
    reverse: float
    """Σ KL(second ‖ first)."""
    top1: int
    """Tokens at which both have the same first choice."""
    top5: float
    """Σ of the share of the first's five likeliest tokens that are among the second's."""
    worst: float
    """The largest KL(first ‖ second) of a token."""


@dataclass(slots=True)
class Lab:
    """The sides of a bake under one of its prompts, and how much is measured."""

    sides: Sides
    suite: Suite
    readout: Readout

    @classmethod
    def of(cls, sides: Sides, suite: Suite) -> Lab:
        """Return a lab of a model, whose head is looked at once."""
        return cls(sides, suite, Readout(sides.local.model))

    def under(self, teacher: Prompt, student: Prompt) -> Lab:
        """Return a lab of the same model under other prompts."""
        return replace(self, sides=replace(self.sides, teacher=teacher, student=student))

    def say(
        self,
        side: Side,
        conversations: Sequence[Conversation],
        *,
        tokens: int | None = None,
        behind: Sequence[Prompt] | None = None,
        temperature: float = 0.0,
    ) -> list[Said]:
        """Return what a side answers to each conversation; `behind`: these prompts, not its own.

        Sampled answers come from the number of the conversation alone.
        """
        most = tokens or self.suite.tokens
        return self.sides.say(side, conversations, most, behind=behind, temperature=temperature)

    def say_to(self, side: Side, asked: Sequence[Asked], *, temperature: float = 0.0) -> list[Said]:
        """Return what a side answers to questions, each behind the prompt as its row fills it."""
        own = self.sides.teacher if side == "prompted" else self.sides.student
        behind = [filled(own, one.values) for one in asked]
        questions = [one.messages for one in asked]
        return self.say(side, questions, behind=behind, temperature=temperature)

    def read(
        self, side: Side, cases: Sequence[Case], *, behind: Sequence[Prompt] | None = None
    ) -> list[torch.Tensor]:
        """Return what a side says at every token of each answer: features (N, D).

        `behind`: these prompts, not its own.
        """
        with self.sides.turned(side) as own:
            return self.scored(behind or [filled(own, case.values) for case in cases], cases)

    def scored(self, prompts: Sequence[Prompt], cases: Sequence[Case]) -> list[torch.Tensor]:
        """Return what the model as it stands says behind prompts: features (N, D) an answer."""
        local = self.sides.local
        settings = SamplingSettings(1, max((len(case.ids) for case in cases), default=1), 0.0)
        views = []
        for prompt, case in zip(prompts, cases, strict=True):
            before = local.prefix(prompt, case.messages, settings)
            views.append(View((*before, *case.ids), ((len(before), len(before) + len(case.ids)),)))
        parts: dict[int, torch.Tensor] = {}
        for at, features in features_of(local.model, self.readout, views):
            counts = [len(views[i].predicting) for i in at]
            parts |= zip(at, torch.split(features, counts), strict=True)
        return [parts[i] for i in range(len(views))]

    @torch.no_grad()
    def near(self, first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> list[Near]:
        """Return how near two sides are at each answer, from what both say there."""
        found = [_Sums() for _ in first]
        for at, a_ND, b_ND in self._chunks(first, second):
            found[at].add(self.readout.logits(a_ND), self.readout.logits(b_ND))
        return [sums.near() for sums in found]

    def _chunks(
        self, first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        vocabulary = self.sides.local.model.get_output_embeddings().weight.shape[0]
        rows = max(1, MOST_LOGITS // vocabulary)
        for at, (a_ND, b_ND) in enumerate(zip(first, second, strict=True)):
            for a_RD, b_RD in zip(torch.split(a_ND, rows), torch.split(b_ND, rows), strict=True):
                yield at, a_RD, b_RD

    def fits(self, prompts: Sequence[Prompt], conversation: Conversation, tokens: int) -> bool:
        """Tell whether a conversation with an answer fits the context behind each prompt."""
        settings = SamplingSettings(1, tokens)
        try:
            for prompt in prompts:
                self.sides.local.prefix(prompt, conversation, settings)
        except ConfigError:
            return False
        return True


@dataclass(slots=True)
class _Sums:
    tokens: int = 0
    forward: float = 0.0
    reverse: float = 0.0
    top1: int = 0
    top5: float = 0.0
    worst: float = 0.0

    def add(self, first_NV: torch.Tensor, second_NV: torch.Tensor) -> None:
        """Take some positions in."""
        p_NV, q_NV = (x.float().log_softmax(-1) for x in (first_NV, second_NV))
        gap_NV = p_NV - q_NV
        forward_N = (p_NV.exp() * gap_NV).sum(-1)
        reverse_N = -(q_NV.exp() * gap_NV).sum(-1)
        k = min(LIKELIEST, p_NV.shape[-1])
        p_NK, q_NK = p_NV.topk(k, -1).indices, q_NV.topk(k, -1).indices
        both_N = (p_NK[:, :, None] == q_NK[:, None, :]).any(-1).float().mean(-1)
        self.tokens += len(forward_N)
        self.forward += float(forward_N.sum())
        self.reverse += float(reverse_N.sum())
        self.top1 += int((p_NK[:, 0] == q_NK[:, 0]).sum())
        self.top5 += float(both_N.sum())
        self.worst = max(self.worst, float(forward_N.max())) if len(forward_N) else self.worst

    def near(self) -> Near:
        return Near(self.tokens, self.forward, self.reverse, self.top1, self.top5, self.worst)
