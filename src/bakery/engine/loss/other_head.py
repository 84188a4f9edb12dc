"""Divergence from a teacher whose head is not the student's: another model with the same tokens.

Its head turns its hidden states into logits, a chunk of positions at a time, beside the student's.
Heads are padded: rows that one of both lacks are no tokens, and are left out.
Shapes: N target positions · D hidden · V vocabulary of the student · R positions of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once

from bakery.engine.loss.head import Blocks, Head
from bakery.engine.loss.losses import Loss

CHUNK_BYTES = 128 * 2**20
"""What the logits of one chunk may take."""
COPIES = 8
"""How many times a chunk's logits are held: a loss keeps what it likes."""
NEVER = -1e4
"""The logit of a row that only the student has: a probability of 0 in any float."""


@torch.no_grad()
def chunks(features: torch.Tensor, head: Head | None, wanted: int) -> Iterator[torch.Tensor]:
    """Yield logits (R, V) in fp32, of so many rows at most; `head` None: the features are that."""
    rows = max(CHUNK_BYTES // (COPIES * wanted * 4), 1)
    if head is None:
        yield from (part[:, :wanted].float() for part in features.split(rows))
        return
    with torch.autocast(head.weight.device.type, enabled=False):
        most = min(rows, max(len(features), 1))
        blocks = Blocks(head, most, temperature=1.0, kept=0, sides=1)
        for part in features.to(head.weight.device).split(most):
            yield _logits(blocks, part)[:, :wanted]


def padded(logits_NV: torch.Tensor, wanted: int) -> torch.Tensor:
    """Return logits over so many rows, of which those that are new have no probability."""
    return F.pad(logits_NV, (0, wanted - logits_NV.shape[-1]), value=NEVER)


@torch.no_grad()
def evaluated(
    student_ND: torch.Tensor,
    teacher: torch.Tensor,
    head: Head,
    loss: Loss,
    *,
    gradient: bool = False,
    choices: bool = False,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return each position's divergence (N,) from a teacher's own features;

    where asked for, its gradient at the student (N, D), and where first choices agree (N,).
    `head.teacher` turns the features into logits; None: they are.
    """
    n, device, vocabulary = len(student_ND), head.weight.device, len(head.weight)
    values_N = torch.zeros(n, device=device)
    grad_ND = torch.zeros(student_ND.shape, device=device) if gradient else None
    agreed_N = torch.zeros(n, dtype=torch.bool, device=device) if choices else None
    if n == 0:
        return values_N, grad_ND, agreed_N
    rows = min(max(CHUNK_BYTES // (COPIES * vocabulary * 4), 1), n)
    # The slope of a softcap is taken from what is kept of the chunk; nothing else is.
    kept = 2 if head.softcap is not None else 0
    with torch.autocast(device.type, enabled=False):
        blocks = Blocks(head, rows, temperature=1.0, kept=kept, sides=1)
        for start in range(0, n, rows):
            at = slice(start, start + rows)
            (said_RV,) = chunks(teacher[at].to(device), head.teacher, vocabulary)
            z_RV = _logits(blocks, student_ND[at])
            if agreed_N is not None:
                agreed_N[at] = z_RV.argmax(-1) == said_RV.argmax(-1)
            both = said_RV.shape[-1]
            if grad_ND is None:
                values_N[at] = loss(z_RV[:, :both], said_RV)
                continue
            z_RV.requires_grad_()
            with torch.enable_grad():
                values_R = loss(z_RV[:, :both], said_RV)
                (slope_RV,) = torch.autograd.grad(values_R.sum(), z_RV)
            values_N[at] = values_R.detach()
            for i, (first, last) in enumerate(blocks.spans):
                blocks.add_gradient(grad_ND[at], i, slope_RV[:, first:last].contiguous())
    if grad_ND is not None:
        grad_ND *= head.scale
    return values_N, grad_ND, agreed_N


def _logits(blocks: Blocks, hidden_RD: torch.Tensor) -> torch.Tensor:
    """Return a chunk's logits (R, V)."""
    prepared_RD = blocks.prepared(hidden_RD)
    return torch.cat([blocks.logits(i, prepared_RD).clone() for i in range(len(blocks.spans))], -1)
