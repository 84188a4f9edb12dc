"""Which sentences of a prompt are asked for at all, before there is any answer to learn."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bakery.backends.local import LocalModel
from bakery.engine.loss.forms import Form
from bakery.engine.loss.readout import Readout
from bakery.engine.sampling.sampling import SampleRequest
from bakery.engine.sampling.speaker import Speaker
from bakery.engine.teacher.scoring import in_order
from bakery.engine.text.views import Pair, pair_up
from bakery.evals import coverage
from bakery.identity import SamplingSettings
from bakery.records import Message, Prompt
from bakery.variables import Values, filled


class AsItStands:
    """What a model says of a few pairs behind the teacher's prompt, in memory."""

    is_live, form = False, Form.WHOLE

    def __init__(self, local: LocalModel, readout: Readout, pairs: Sequence[Pair]) -> None:
        with torch.no_grad():
            features = in_order(local.model, readout, [pair.teacher for pair in pairs])
        parts = torch.split(features, [pair.num_targets for pair in pairs])
        self._found = {pair.key: part for pair, part in zip(pairs, parts, strict=True)}

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""
        return torch.cat([self._found[pair.key] for pair in pairs])


def unasked(
    local: LocalModel,
    questions: Sequence[tuple[tuple[Message, ...], Values | None]],
    teacher: Prompt,
    student: Prompt,
    settings: SamplingSettings,
) -> list[str]:
    """Return the sentences of a prompt without which no answer to some questions would change."""
    chat = local.base.chat
    asked = [
        SampleRequest(str(at), tuple(local.prefix(filled(teacher, row), messages, settings)))
        for at, (messages, row) in enumerate(questions)
    ]
    said = Speaker(local.model, chat).all(asked, settings)
    answered = [
        coverage.Answered(
            pair_up(
                chat,
                request.key,
                filled(teacher, row),
                filled(student, row),
                messages,
                said[request.key].ids,
            ),
            messages,
            row,
        )
        for request, (messages, row) in zip(asked, questions, strict=True)
        if said[request.key].ids
    ]
    if not answered:
        return []
    readout = Readout(local.model)
    record = AsItStands(local, readout, [one.pair for one in answered])
    found = coverage.dependences(local.model, readout, record, chat, teacher, answered)
    return coverage.unasked(found)
