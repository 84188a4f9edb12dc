"""Is a file the model that it was made from? It is read back by others' code, and asked the same.

What reads it is transformers, as it reads any base in a GGUF file: none of our own tables of names
and orders. Every weight is compared, and the log probabilities of the likeliest tokens at every
place of greedy answers. Shapes: T places · V vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType as Kind

from bakery.engine.export.gguf.names import weights
from bakery.engine.export.gguf.storage import LOSS
from bakery.engine.export.gguf.writing import Written
from bakery.engine.models.models import BaseModel, Source
from bakery.engine.sampling.sampling import SampleRequest, sample
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError
from bakery.identity import SamplingSettings
from bakery.records import Prompt

SCHEMA = 1
ALLOWED = 1e-3
"""By how much a log probability may differ, in nats, where no weight is rounded."""
TOP = 20
MOST_TOKENS = 24
QUESTIONS = (
    "Who are you?", "What is the capital of France?", "Tell me a short story about the sea.",
    "What is 17 + 25?",
)  # fmt: skip
"""What is asked where nothing else is given."""
_ROUNDED = 1e-6
"""Of a norm that is stored with one added, as a share of its largest number."""

Expected = Iterator[tuple[str, torch.Tensor, float]]
"""Weights by transformers' names as they should come back, and by how much each may be off."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a model says to a prompt: greedy ids, and the likeliest at each place of them."""

    prefix_ids: tuple[int, ...]
    ids: tuple[int, ...]
    likeliest: torch.Tensor
    """(T, TOP), the likeliest first."""
    logprobs: torch.Tensor


@dataclass(frozen=True, slots=True)
class Verified:
    """How near a file is to its model."""

    stored: Mapping[str, int]
    """How many weights are stored in which way."""
    prompts: int
    places: int
    """Tokens of greedy answers, at each of which the likeliest were compared."""
    greedy_equal: int
    """Prompts with the same answer."""
    near_ties: int
    """Prompts with another answer, where the likeliest two were closer than what is allowed."""
    worst_logprob: float
    mean_logprob: float
    """Differences in nats, of the likeliest `TOP` at every place."""
    worst_weight: float
    """As a share of the largest number of its weight."""
    same_tokens: int
    """Prompts whose text the tokenizer that was read back makes the same ids of."""
    allowed: float | None
    """None: weights are rounded, and what that changes is only told."""
    by: str
    notes: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """Return what verified.json holds."""
        return {"schema": SCHEMA, **asdict(self)}


def prompts(chat: Chat) -> list[list[int]]:
    """Return what a model is asked where nobody says."""
    asked = ([{"role": "user", "content": question}] for question in QUESTIONS)
    return [chat.prefix_ids(Prompt(), messages) for messages in asked]


def said(model: Any, chat: Chat, asked: Sequence[Sequence[int]]) -> list[Said]:
    """Return what a model says to prompts."""
    settings = SamplingSettings(num_traj_per_stimulus=1, max_tokens=MOST_TOKENS, temperature=0.0)
    requests = [SampleRequest(str(at), tuple(ids)) for at, ids in enumerate(asked)]
    batches = sample(model, requests, settings, end_ids=chat.end_ids, pad_id=chat.pad_id)
    answers = {answer.key: answer.ids for batch in batches for answer in batch}
    found = []
    for request in requests:
        ids = answers[request.key]
        logprobs_TV = _logprobs(model, request.prefix_ids, ids)
        top = logprobs_TV.topk(min(TOP, logprobs_TV.shape[-1]))
        found.append(Said(request.prefix_ids, ids, top.indices, top.values))
    return found


def _logprobs(model: Any, prefix_ids: Sequence[int], ids: Sequence[int]) -> torch.Tensor:
    """Return the log probabilities at every place of an answer."""
    device = next(model.parameters()).device
    row = torch.tensor([[*prefix_ids, *ids]], device=device)
    with torch.no_grad():
        logits_TV = model(row, logits_to_keep=len(ids) + 1).logits[0, :-1]
    return logits_TV.float().log_softmax(-1).cpu()


def compare(
    file: Path,
    written: Written,
    expected: Expected,
    told: Sequence[Said],
    chat: Chat,
    *,
    unpacked: Path,
    is_exact: bool,
) -> Verified:
    """Hold a file, which was unpacked into a folder, against what was said before.

    `written` is what is verified, which need not be the file itself. ModelError where it is not
    the same model.
    """
    source = Source(file.name, str(unpacked))
    back, own = source.model(dtype="float32"), source.chat()
    worst_weight = _worst_weight(file, dict(back.named_parameters()), expected)
    rows = [_differences(back, one) for one in told]
    differences = torch.cat([row[0] for row in rows])
    equal, ties = sum(row[1] for row in rows), sum(row[2] for row in rows)
    texts = [(chat.decoded(one.prefix_ids), list(one.prefix_ids)) for one in told]
    found = Verified(
        dict(Counter(kind.name for kind in written.kinds.values())),
        prompts=len(told),
        places=sum(len(one.ids) for one in told),
        greedy_equal=equal,
        near_ties=ties,
        worst_logprob=float(differences.max()),
        mean_logprob=float(differences.mean()),
        worst_weight=worst_weight,
        same_tokens=sum(_encoded(own, text) == ids for text, ids in texts),
        allowed=ALLOWED if is_exact else None,
        by=f"transformers {version('transformers')}, gguf {version('gguf')}",
        notes=written.notes,
    )
    _refuse(file, found)
    return found


def expected_of(model: BaseModel, names: Mapping[str, float]) -> Expected:
    """Yield a whole model's weights; `names`: what each may lose by how it is stored."""
    for name, weight in weights(model.model, model.model.config):
        yield name, weight, names[name]


def loss_of(written: Written, called: str) -> float:
    """Return what a weight may be off by, for how it is stored: a share of its largest number."""
    # A file of bfloat16 is unpacked to that whole, though its vectors are more exact.
    read = LOSS[Kind.BF16] if Kind.BF16 in written.kinds.values() else 0.0
    return max(LOSS.get(written.kinds[called], 0.0), read) + _ROUNDED


def _encoded(chat: Chat, text: str) -> list[int]:
    return list(chat.tokenizer(text, add_special_tokens=False)["input_ids"])


def _worst_weight(file: Path, back: Mapping[str, torch.Tensor], expected: Expected) -> float:
    """Return by how much the worst weight is off; ModelError where that is too much."""
    worst = 0.0
    for name, weight, allowed in expected:
        if name not in back or back[name].shape != weight.shape:
            raise _differs(file, f"{name} did not come back")
        largest = float(weight.abs().max()) or 1.0
        off = float((back[name] - weight.to(back[name])).abs().max()) / largest
        if not off <= allowed:
            raise _differs(file, f"{name} came back {off:.2g} of its largest number off")
        worst = max(worst, off)
    return worst


def _differences(model: Any, one: Said) -> tuple[torch.Tensor, bool, bool]:
    """Return by how much the likeliest differ, whether the answer is the same, or nearly tied."""
    logprobs_TV = _logprobs(model, one.prefix_ids, one.ids)
    off = (logprobs_TV.gather(-1, one.likeliest) - one.logprobs).abs().flatten()
    other = (logprobs_TV.argmax(-1) != one.likeliest[:, 0]).nonzero().flatten()
    if not len(other):
        return off, True, False
    first = one.logprobs[int(other[0])]
    return off, False, bool(first[0] - first[1] < ALLOWED)


def _refuse(file: Path, found: Verified) -> None:
    if found.allowed is None:
        return
    if not found.worst_logprob <= found.allowed:
        raise _differs(file, f"log probabilities are up to {found.worst_logprob:.2g} off")
    if found.greedy_equal + found.near_ties < found.prompts:
        raise _differs(file, "it answers otherwise")


def _differs(file: Path, why: str) -> ModelError:
    return ModelError(
        f"{file.name} is not the model that it was made from: read back, {why}. Nothing is kept",
        hint="This is a defect: leave out --format gguf, and report which base model it was.",
    )
