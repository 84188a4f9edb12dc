"""Does a prompt that is to be baked contradict answers that are kept in the mix?

Those of an earlier target were given under its own prompt. The parent is asked the same questions
under the new prompt, and both are compared: by what it says, and by how likely it finds the old
answers. Shapes: N answer tokens · V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bakery.backends.base import AnswerRequest
from bakery.backends.local import LocalModel
from bakery.engine.loss.readout import Readout
from bakery.engine.sampling.sampling import SampleRequest
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.teacher.scoring import in_order
from bakery.engine.text.views import Pair, View, pair_up
from bakery.generators.words import words
from bakery.identity import SamplingSettings
from bakery.records import Prompt, Trajectory, user_text

APART = 0.35
"""Nats per token by which an old answer is less likely under the new prompt, from which they
disagree where the words differ, too."""
MANY = 0.5
"""Share of the questions from which a target is in conflict."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A question, the answer that is kept, and what is said to it under the new prompt."""

    question: str
    kept: str
    new: str
    apart: float
    """Nats per token by which the kept answer is less likely under the new prompt."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """An earlier target, the new one, and where they disagree, the furthest apart first."""

    kept: str
    new: str
    questions: int
    apart: float
    disagreements: tuple[Disagreement, ...]

    @property
    def is_one(self) -> bool:
        """Whether they disagree on so much that one bake cannot say both."""
        return self.questions > 0 and len(self.disagreements) >= MANY * self.questions

    @property
    def warning(self) -> str:
        """What a person should know before the training, and what to do."""
        worst = self.disagreements[0]
        return (
            f"{self.kept} is kept in the mix and contradicts the new prompt of {self.new}: "
            f"{len(self.disagreements)} of {self.questions} of its answers would be others under "
            f'it, by {self.apart:.2g} nats per token ("{worst.question:.60}": '
            f'"{worst.kept:.60}", now "{worst.new:.60}"). Both are learnt for the same requests, '
            "and the bake comes to something between: take it out of BAKE.datasets (or take "
            "BAKE.replay out), weigh it less, say in the new prompt what has to stay, or give one "
            "of both a student prompt"
        )

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"warning": self.warning if self.is_one else None}


def compare(
    local: LocalModel,
    names: tuple[str, str],
    kept: Sequence[tuple[AnswerRequest, Trajectory]],
    prompts: tuple[Prompt, Prompt],
    settings: SamplingSettings,
) -> Conflict:
    """Ask the parent what an earlier target was asked, under the new prompt.

    `names` and `prompts` are of the earlier and the new target, and the new teacher's and the
    student's.
    """
    teacher, student = prompts
    chat = local.base.chat
    asked = [
        SampleRequest(request.key, tuple(local.prefix(teacher, request.messages, settings)))
        for request, _ in kept
    ]
    said = Speaker(local.model, chat).all(asked, settings)
    pairs = [
        pair_up(chat, request.key, teacher, student, request.messages, row.response_ids)
        for request, row in kept
    ]
    apart = _apart(local, pairs)
    found = [
        Disagreement(user_text(request.messages), row.text, chat.text(said[request.key].ids), nats)
        for (request, row), nats in zip(kept, apart, strict=True)
    ]
    others = [one for one in found if one.apart >= APART and words(one.kept) != words(one.new)]
    others.sort(key=lambda one: -one.apart)
    return Conflict(*names, len(found), sum(apart) / max(1, len(apart)), tuple(others))


@torch.no_grad()
def _apart(local: LocalModel, pairs: Sequence[Pair]) -> list[float]:
    """Return by how much each answer is less likely behind the teacher's prompt, per token."""
    readout = Readout(local.model)
    behind = _likely(local, readout, [pair.teacher for pair in pairs])
    without = _likely(local, readout, [pair.student for pair in pairs])
    return [float((own - new).mean()) for own, new in zip(without, behind, strict=True)]


def _likely(local: LocalModel, readout: Readout, views: Sequence[View]) -> list[torch.Tensor]:
    """Return the log probability of each answer token (N,), view by view."""
    found = []
    for view in views:
        features = in_order(local.model, readout, [view])
        log_p_NV = readout.logits(features).float().log_softmax(-1)
        ids_N = torch.tensor(view.target_ids, device=log_p_NV.device)
        found.append(log_p_NV.gather(-1, ids_N[:, None])[:, 0].cpu())
    return found
