"""The plain way to bake, honestly done: what a first implementation does, and no slower.

Answers are sampled one by one with `generate`, anew in every epoch. A step runs the whole model
twice, the teacher over prefix, prompt and answer, the student over prompt and answer, in
micro-batches of four rows; both build all their logits, and KL(teacher ‖ student) is taken at
the answer's positions. Shapes: B rows · T time · L answer tokens · V vocabulary.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from peft import PeftModel

from benchmarks.workload import Workload

MICRO_BATCH = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One trajectory: the ids before the answer, as teacher and student have them, and it."""

    teacher: list[int]
    student: list[int]
    answer: list[int]


def train(workload: Workload, model: PeftModel) -> tuple[list[float], int]:
    """Bake; return the loss of each step and how many answer tokens were learnt."""
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, max(workload.steps, 1))
    random = torch.Generator().manual_seed(workload.seed)
    losses, tokens = [], 0
    for _ in range(workload.epochs):
        rows = given(workload) if not workload.samples else sampled(workload, model)
        order = torch.randperm(len(rows), generator=random).tolist()
        for at in range(0, len(rows), workload.rows):
            drawn = [rows[i] for i in order[at : at + workload.rows]]
            losses.append(sum(backward(model, batch, len(drawn)) for batch in micro(drawn)))
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        tokens += sum(len(row.answer) for row in rows)
    return losses, tokens


def given(workload: Workload) -> list[Row]:
    """Return the rows of pairs mode, whose answers are known."""
    encode = workload.tokenizer.encode
    return [
        Row(workload.ids(q, prompted=True), workload.ids(q, prompted=False), encode(r))
        for q, r in zip(workload.questions, workload.responses, strict=True)
    ]


@torch.no_grad()
def sampled(workload: Workload, model: PeftModel) -> list[Row]:
    """Have the teacher answer every question `samples` times, one call for each."""
    model.eval()
    rows = []
    with model.disable_adapter():
        for question in workload.questions:
            prompted = workload.ids(question, prompted=True)
            plain = workload.ids(question, prompted=False)
            ids_BT = torch.tensor([prompted])
            for _ in range(workload.samples):
                out_BT = model.generate(
                    input_ids=ids_BT,
                    attention_mask=torch.ones_like(ids_BT),
                    do_sample=True,
                    temperature=1.0,
                    top_p=1.0,
                    top_k=0,
                    max_new_tokens=workload.answer,
                )
                rows.append(Row(prompted, plain, out_BT[0, len(prompted) :].tolist()))
    model.train()
    return rows


def micro(rows: Sequence[Row], size: int = MICRO_BATCH) -> Iterator[list[Row]]:
    """Cut a step into batches that fit."""
    remaining = iter(rows)
    while batch := list(itertools.islice(remaining, size)):
        yield batch


def backward(model: PeftModel, batch: Sequence[Row], rows: int) -> float:
    """Add a micro-batch's gradient; return its share of the loss of a step of so many rows."""
    with torch.no_grad(), model.disable_adapter():
        teacher_BTV = logits(model, [(r.teacher, r.answer) for r in batch])
    student_BTV = logits(model, [(r.student, r.answer) for r in batch])
    total = student_BTV.new_zeros(())
    for i, row in enumerate(batch):
        teacher_LV = at_answer(teacher_BTV[i], len(row.teacher), len(row.answer))
        student_LV = at_answer(student_BTV[i], len(row.student), len(row.answer))
        kl = F.kl_div(
            F.log_softmax(student_LV, dim=-1),
            F.log_softmax(teacher_LV, dim=-1),
            log_target=True,
            reduction="sum",
        )
        total = total + kl / len(row.answer)
    loss = total / rows
    loss.backward()
    return float(loss.detach())


def logits(model: PeftModel, parts: Sequence[tuple[list[int], list[int]]]) -> torch.Tensor:
    """Return all logits (B, T, V) of rows that are padded on the right."""
    rows = [[*prefix, *answer] for prefix, answer in parts]
    width = max(map(len, rows))
    ids_BT = torch.zeros(len(rows), width, dtype=torch.long)
    mask_BT = torch.zeros_like(ids_BT)
    for i, row in enumerate(rows):
        ids_BT[i, : len(row)] = torch.tensor(row)
        mask_BT[i, : len(row)] = 1
    return model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits


def at_answer(logits_TV: torch.Tensor, start: int, length: int) -> torch.Tensor:
    """Return the logits (L, V) that predict the answer: one position before each token."""
    return logits_TV[start - 1 : start - 1 + length]
