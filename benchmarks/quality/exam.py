"""One exam for all sides: what the prompted base says to questions that nobody learns.

Made once, beforehand, and kept: its answers are sampled at T = 1, and of the teacher the hidden
states before the head are kept, from which its whole distribution follows.
Shapes: L answer tokens · D hidden · V vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from safetensors.torch import load_file, save_file

from bakery.backends.base import AnswerRequest
from bakery.backends.local import LocalModel
from bakery.engine.bases import bases
from bakery.engine.bases.gguf import kept
from bakery.engine.models import models
from bakery.engine.modes import evaluating
from bakery.identity import BaseModelId, SamplingSettings
from bakery.records import Prompt
from benchmarks.quality.cases import Case


@dataclass(frozen=True, slots=True)
class Question:
    """One question, as the student sees it, and the teacher's answer to it."""

    student: list[int]
    answer: list[int]
    teacher: torch.Tensor
    """The hidden states (L, D) that the teacher's head takes at its tokens."""


class Exam:
    """Questions with the teacher's answers, and how far the base is from it without a prompt."""

    def __init__(self, path: Path, tokenizer: Any) -> None:
        data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        tensors = load_file(path.with_suffix(".safetensors"))
        self.before: float = data["before"]
        self._tokenizer = tokenizer
        self._questions = [
            Question(row["student"], row["answer"], tensors[str(number)])
            for number, row in enumerate(data["rows"])
        ]

    @torch.no_grad()
    def divergence(self, model: torch.nn.Module) -> float:
        """Return KL(teacher ‖ model without a prompt) in nats per answer token."""
        with evaluating(model):
            return divergence(model, self._questions)

    @torch.no_grad()
    def answers(self, model: Any, questions: Sequence[str], most: int) -> list[str]:
        """Return the model's greedy answers without a prompt."""
        prefixes = [prefix_ids(self._tokenizer, (), question) for question in questions]
        with evaluating(model):
            found = generated(model, self._tokenizer, prefixes, most, do_sample=False)
        return [self._tokenizer.decode(ids, skip_special_tokens=True) for ids in found]


def base_of(case: Case) -> BaseModelId:
    """Return the identity of the model of a case; the real one is fetched where it is missing."""
    if case.base == "tiny":
        return bases.identify("tiny")
    from tools.real_model import fetch

    return bases.identify(str(fetch()))


def folder_of(base: BaseModelId) -> Path:
    """Return the folder that any library loads the model from."""
    place = bases.check(base)
    return kept.unpacked(place, base.digest).folder if place.is_file() else place


@torch.no_grad()
def make(case: Case, path: Path) -> None:
    """Have the prompted base answer what is held out, and keep what it says."""
    base = models.load(base_of(case), dtype="float32")
    requests = [
        AnswerRequest(f"exam/{number}", ({"role": "user", "content": question},))
        for number, question in enumerate(case.held_out)
    ]
    sampling = SamplingSettings(1, case.answer, temperature=1.0)
    teacher = LocalModel(base).answers(requests, Prompt(case.prompt), sampling)
    answers = {answer.key: list(answer.ids) for batch in teacher for answer in batch}
    tokenizer, rows = base.chat.tokenizer, []
    for request, question in zip(requests, case.held_out, strict=True):
        answer = answers[request.key]
        before = prefix_ids(tokenizer, case.prompt, question)
        out = base.model(torch.tensor([before + answer]), output_hidden_states=True)
        at = slice(len(before) - 1, len(before) + len(answer) - 1)
        states_LD = out.hidden_states[-1][0, at].clone()
        # The head alone gives the logits: no model here does anything behind it.
        again_LV = base.model.get_output_embeddings()(states_LD)
        torch.testing.assert_close(again_LV, out.logits[0, at], atol=1e-3, rtol=1e-3)
        rows.append(Question(prefix_ids(tokenizer, (), question), answer, states_LD))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {str(number): row.teacher for number, row in enumerate(rows)},
        path.with_suffix(".safetensors"),
    )
    data = {
        "before": divergence(base.model, rows),
        "tokens": sum(len(row.answer) for row in rows),
        "rows": [{"student": row.student, "answer": row.answer} for row in rows],
    }
    path.with_suffix(".json").write_text(json.dumps(data), encoding="utf-8")


def divergence(model: Any, questions: Sequence[Question]) -> float:
    """Return the mean divergence over all answer tokens, one answer at a time."""
    head = model.get_output_embeddings()
    total, tokens = 0.0, 0
    for row in questions:
        ids_BT = torch.tensor([row.student + row.answer])
        logits_LV = model(input_ids=ids_BT, use_cache=False).logits[
            0, len(row.student) - 1 : ids_BT.shape[1] - 1
        ]
        total += float(
            F.kl_div(
                logits_LV.float().log_softmax(-1),
                head(row.teacher).float().log_softmax(-1),
                log_target=True,
                reduction="sum",
            )
        )
        tokens += len(row.answer)
    return total / tokens


def prefix_ids(tokenizer: Any, prompt: Sequence[Any], question: str) -> list[int]:
    """Return the ids before the answer to a question, behind a prompt (or behind none)."""
    messages = [*prompt, {"role": "user", "content": question}]
    found = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    return list(found["input_ids"])


@torch.no_grad()
def generated(
    model: Any, tokenizer: Any, prefixes: Sequence[list[int]], most: int, **how: Any
) -> list[list[int]]:
    """Return an answer to each prefix, in one call of `generate`, with what ended it."""
    pad = tokenizer.pad_token_id or 0
    width = max(map(len, prefixes))
    ids_BT = torch.tensor([[pad] * (width - len(ids)) + ids for ids in prefixes])
    mask_BT = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prefixes])
    out_BT = model.generate(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        max_new_tokens=most,
        pad_token_id=pad,
        **how,
    )
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    answers = []
    for row in out_BT[:, width:].tolist():
        last = next((i for i, token in enumerate(row) if token in ends), len(row))
        answers.append(row[: last + 1])
    return answers
