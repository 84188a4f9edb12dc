"""A frozen LM head: from hidden states to logits, whole or by blocks of the vocabulary.

Shapes: N positions · D hidden · V vocabulary · B of it in a block · R positions in a chunk
· S = 2R: a chunk's student rows, then its teacher rows; S = R where only one side is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once

CPU_BLOCK_BYTES = 2**20
"""Block of logits on a CPU: it stays in the second-level cache while it is worked on."""
MIN_BLOCK = 256
"""Narrower blocks make slow matrix products."""


@dataclass(frozen=True, slots=True)
class Head:
    """Logits are cap(scale · (hidden weightᵀ + bias)) with cap(z) = c tanh(z / c), if any.

    The weight is (V, D), the bias (V,).
    """

    weight: torch.Tensor
    bias: torch.Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    teacher: Head | None = None
    """The head of a teacher that is another model; None: it has this one, or gives logits."""

    def logits(self, hidden_ND: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, V) in the head's dtype, all at once and with a gradient."""
        raw_NV = F.linear(hidden_ND.to(self.weight), self.weight, self.bias)
        return self.transformed(raw_NV)

    def transformed(self, raw_NV: torch.Tensor) -> torch.Tensor:
        """Return what the model makes of the bare product."""
        scaled_NV = raw_NV if self.scale == 1.0 else raw_NV * self.scale
        if self.softcap is None:
            return scaled_NV
        return torch.tanh(scaled_NV / self.softcap) * self.softcap


class Blocks:
    """fp32 logits of one chunk after the other, divided by a temperature, in one workspace.

    `kept` tensors (R, V) stay of each chunk until the next one: one for each of the `sides` that
    takes the place of the logits, and one more where a softcap's slope is needed. With 0 a block
    replaces the last one.
    """

    def __init__(
        self, head: Head, rows: int, *, temperature: float, kept: int, sides: int = 2
    ) -> None:
        weight_VD = head.weight
        device, vocabulary = weight_VD.device, len(weight_VD)
        columns = vocabulary
        if device.type == "cpu":
            columns = min(max(CPU_BLOCK_BYTES // (4 * sides * rows), MIN_BLOCK), vocabulary)
        starts = range(0, vocabulary, columns)
        self.spans = [(start, min(start + columns, vocabulary)) for start in starts]
        """First and last of each block's tokens."""
        self._head, self._temperature = head, temperature
        self._weight_VD = weight_VD.to(_product_dtype(weight_VD))
        # Where the product is in fp32 the factor goes into its small side, else into its result.
        self._factor = head.scale / (head.softcap or temperature)
        self._rows, self._kept, self._sides = rows, kept, sides
        sizes = sides * rows * columns, kept * rows * vocabulary or sides * rows * columns
        space = (torch.empty(size, dtype=torch.float32, device=device) for size in sizes)
        self._spare, self._space = space

    def prepared(self, hidden_SD: torch.Tensor) -> torch.Tensor:
        """Return a chunk's hidden states as `logits` takes them."""
        if self._in_fp32:
            return hidden_SD.float() * self._factor
        return hidden_SD.to(self._weight_VD.dtype)

    def logits(self, i: int, prepared_SD: torch.Tensor) -> torch.Tensor:
        """Make the logits (S, B) of block `i` in its place, to be worked on there."""
        start, stop = self.spans[i]
        rows = len(prepared_SD) // self._sides
        z_SB = self.place(i, rows)
        if self._in_fp32:
            torch.mm(prepared_SD, self._weight_VD[start:stop].float().t(), out=z_SB)
        else:
            weight_DB = self._weight_VD[start:stop].t()
            torch.mm(prepared_SD, weight_DB, out_dtype=torch.float32, out=z_SB)
            z_SB *= self._factor
        if self._head.bias is not None:
            z_SB += self._head.bias[start:stop].float() * self._factor
        if self._head.softcap is not None:
            z_SB.tanh_()
            if self._kept > self._sides:
                self._slots(i, rows, self._sides, self._kept).copy_(z_SB[:rows])
            z_SB *= self._head.softcap / self._temperature
        return z_SB

    def place(self, i: int, rows: int) -> torch.Tensor:
        """Return where the logits of block `i` are (S, B), or what a rule left there."""
        return self._slots(i, rows, 0, self._sides)

    def spare(self, i: int, rows: int) -> torch.Tensor:
        """Return room (`rows`, B) for a result that lasts until the next block."""
        start, stop = self.spans[i]
        return self._spare[: rows * (stop - start)].view(rows, -1)

    def _slots(self, i: int, rows: int, first: int, last: int) -> torch.Tensor:
        start, stop = self.spans[i]
        each = rows * (stop - start)
        at = self._kept * self._rows * start
        return self._space[at + first * each : at + last * each].view(-1, stop - start)

    def add_gradient(self, grad_RD: torch.Tensor, i: int, slope_RB: torch.Tensor) -> None:
        """Add to `grad_RD` what the gradient at block `i`'s logits is at the hidden states.

        Without the factor scale / temperature, and `slope_RB` is written over.
        """
        start, stop = self.spans[i]
        weight_BD = self._weight_VD[start:stop]
        if self._head.softcap is not None:
            tanh_RB = self._slots(i, len(slope_RB), self._sides, self._kept)
            slope_RB.addcmul_(slope_RB, tanh_RB.square_(), value=-1)
        if weight_BD.dtype != torch.bfloat16:
            grad_RD.addmm_(slope_RB, weight_BD.float())
        elif self._in_fp32:
            grad_RD += slope_RB.bfloat16() @ weight_BD
        else:
            grad_RD += torch.mm(slope_RB.bfloat16(), weight_BD, out_dtype=torch.float32)

    @property
    def _in_fp32(self) -> bool:
        """Tell whether logits are a product of fp32: always, but for bf16 on GPUs.

        On a CPU a product of bf16 is rounded to bf16, which drowns a small divergence; the cast
        of a block costs next to nothing. fp16 has no room for what is unlikely.
        """
        weight = self._weight_VD
        return weight.device.type != "cuda" or weight.dtype != torch.bfloat16


def _product_dtype(weight: torch.Tensor) -> torch.dtype:
    """Return the head's dtype, or bf16 where autocast asks for it on a GPU."""
    kind = weight.device.type
    if kind == "cuda" and torch.is_autocast_enabled(kind):
        asked = torch.get_autocast_dtype(kind)
        return asked if asked == torch.bfloat16 else weight.dtype
    return weight.dtype
