"""First weights for an adapter by least squares: what the prompt adds to each layer, without it.

Teacher and student run side by side, once and without a gradient. Wherever a layer writes into
the residual stream, the adapter of that projection W gets the low-rank Δ that brings the student
nearest to where the teacher is behind it,

    min over rank(Δ) ≤ R of  Σ_n ‖ Δ x_n − (h_n^teacher − h_n^student) ‖² + λ ‖Δ‖²,

x its input in the student and h the residual streams right behind W: a reduced-rank ridge
regression (Izenman, 1975), solved in closed form, layer by layer. What earlier layers have left is
so made good by later ones. On a real model this closes most of the gap before the first step.

Shapes: N aligned positions · I inputs · O outputs · R rank · M tokens of the packed sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from torch import nn

from bakery.engine.models.adapters import parent_only
from bakery.engine.modes import evaluating
from bakery.engine.packed.layouts import Packed, Prefix
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.packed.support import Support, support_of
from bakery.engine.packed.trees import Pack, pack, smallest, trees
from bakery.engine.teacher.scoring import beginning
from bakery.engine.text.views import Pair, View
from bakery.engine.training.residual import Writer, writers_of

MORE_DIRECTIONS, ROUNDS = 8, 3
"""Of the randomised decomposition: directions beyond the rank, and power iterations."""


def fit(
    model: PeftModel, pairs: Sequence[Pair], *, adapter: str, ridge: float, most_tokens: int
) -> str | None:
    """Give `adapter` its first weights from some pairs; return why not, where that cannot be.

    `ridge` is λ in units of the mean square of the inputs; at most `most_tokens` are run, those of
    the first pairs. The adapter has to be fresh: it adds nothing yet.
    """
    writers = _writers(model, adapter)
    if isinstance(writers, str):
        return writers
    support = support_of(model)
    with evaluating(model), torch.no_grad():
        chosen = _within(pairs, most_tokens)
        if not chosen:
            return f"no answer has less than {most_tokens:,} tokens with its prompt"
        both = _side_by_side(model, support, chosen)
        with torch.random.fork_rng(devices=[]), _fitting(writers, both, adapter, ridge):
            torch.manual_seed(0)
            support.forward(model, both.layout, **both.inputs(model))
    return None


def refused(model: PeftModel, adapter: str) -> str | None:
    """Return why an adapter of this model cannot be fitted, whatever the answers; None: it can."""
    found = _writers(model, adapter)
    return found if isinstance(found, str) else None


def _writers(model: PeftModel, adapter: str) -> list[Writer] | str:
    """Return what is fitted, or why nothing can be."""
    support = support_of(model)
    if support.refused is not None:
        return support.refused
    with evaluating(model), torch.no_grad():
        return writers_of(model, support, adapter)


@dataclass(frozen=True, slots=True)
class _Both:
    """Teacher and student views in one sequence, and where the same tokens lie in both (N,)."""

    layout: Packed
    ids: torch.Tensor
    positions: torch.Tensor
    of_teacher: torch.Tensor
    of_student: torch.Tensor
    first: int
    """The column at which the student's tokens begin."""

    def inputs(self, model: PeftModel) -> dict[str, torch.Tensor]:
        """Return what a forward takes; logits of one column, which nobody reads."""
        device = next(model.parameters()).device
        last = torch.tensor([len(self.ids) - 1], device=device)
        return {
            "input_ids": self.ids[None].to(device),
            "position_ids": self.positions[None].to(device),
            "logits_to_keep": last,
        }


@dataclass(slots=True)
class _Solver:
    """Fits each writer when its layer comes to it, and corrects what the layers behind it see."""

    both: _Both
    adapter: str
    ridge: float
    stream: torch.Tensor = field(default_factory=lambda: torch.empty(0))

    def enter(self, _: nn.Module, args: tuple[Any, ...], told: dict[str, Any]) -> None:
        """Take the residual stream as a layer finds it."""
        self.stream = (args[0] if args else told["hidden_states"])[0]

    def solve(self, writer: Writer, x_MI: torch.Tensor, out_MO: torch.Tensor) -> torch.Tensor:
        """Set the writer's adapter, and return its output with what that adds for the student."""
        layer, both = writer.projection, self.both
        behind = self.stream + writer.scale * out_MO
        missing_NO = (behind[both.of_teacher] - behind[both.of_student]).float() / writer.scale
        a_RI, b_OR = reduced_rank(
            x_MI[both.of_student].float(), missing_NO, layer.r[self.adapter], self.ridge
        )
        own = layer.lora_A[self.adapter].weight, layer.lora_B[self.adapter].weight
        # As large as LoRA draws A, so that a rate of learning means for both what it always does.
        size_R = own[0].norm(dim=1).mean() / a_RI.norm(dim=1).clamp_min(1e-12)
        own[0].copy_(a_RI * size_R[:, None])
        own[1].copy_(b_OR / size_R / layer.scaling[self.adapter])
        out_MO = out_MO.clone()
        out_MO[both.first :] += ((x_MI[both.first :].float() @ a_RI.T) @ b_OR.T).to(out_MO.dtype)
        self.stream = self.stream + writer.scale * out_MO
        return out_MO


def reduced_rank(
    x_NI: torch.Tensor, y_NO: torch.Tensor, rank: int, ridge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return A (R, I) and B (O, R) that minimise ‖x Aᵀ Bᵀ − y‖² + λ ‖B A‖².

    λ is `ridge` times the mean square that an input has over all positions, times their number.
    """
    count, inputs = x_NI.shape
    weight = ridge * float(x_NI.square().sum()) / inputs
    if count < inputs:  # the smaller of both systems of equations
        gram_NN = x_NI @ x_NI.T
        gram_NN.diagonal().add_(weight)
        whole_IO = x_NI.T @ torch.cholesky_solve(y_NO, torch.linalg.cholesky(gram_NN))
    else:
        gram_II = x_NI.T @ x_NI
        gram_II.diagonal().add_(weight)
        whole_IO = torch.cholesky_solve(x_NI.T @ y_NO, torch.linalg.cholesky(gram_II))
    # Of all ways to leave directions out, the one that costs the fit least.
    explained_OO = (y_NO.T @ x_NI) @ whole_IO
    wanted = min(rank + MORE_DIRECTIONS, len(explained_OO))
    _, _, directions = torch.svd_lowrank(explained_OO, q=wanted, niter=ROUNDS)
    b_OR = directions[:, :rank]
    a_RI = (whole_IO @ b_OR).T
    short = rank - b_OR.shape[1]
    return nn.functional.pad(a_RI, (0, 0, 0, short)), nn.functional.pad(b_OR, (0, short))


@contextmanager
def _fitting(writers: Sequence[Writer], both: _Both, adapter: str, ridge: float) -> Iterator[None]:
    """Have a forward fit every writer on its way."""
    solver = _Solver(both, adapter, ridge)

    def solved(writer: Writer) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], out: torch.Tensor) -> torch.Tensor:
            return solver.solve(writer, args[0][0], out[0])[None]

        return hook

    with ExitStack() as hooks:
        for layer in dict.fromkeys(writer.layer for writer in writers):
            hook = layer.register_forward_pre_hook(solver.enter, with_kwargs=True)
            hooks.callback(hook.remove)
        for writer in writers:
            hooks.callback(writer.projection.register_forward_hook(solved(writer)).remove)
        yield


def _within(pairs: Sequence[Pair], most_tokens: int) -> list[Pair]:
    """Return the first pairs whose views have at most so many tokens together."""
    chosen, tokens = [], 0
    for pair in pairs:
        tokens += len(pair.teacher.ids) + len(pair.student.ids)
        if tokens > most_tokens:
            break
        chosen.append(pair)
    return chosen


def _side_by_side(model: PeftModel, support: Support, pairs: Sequence[Pair]) -> _Both:
    """Lay the views of teacher and student out in one sequence; a shared prompt is run once."""
    teacher, student = [pair.teacher for pair in pairs], [pair.student for pair in pairs]
    prefix, skip = _shared(model, support, teacher)
    taught = pack(trees(teacher, skip=skip), teacher, skip=skip)
    learning = pack(smallest(student), student)
    first = len(taught.ids)
    of_teacher, of_student = (
        _columns(taught, teacher, skip, 0),
        _columns(learning, student, 0, first),
    )
    found: dict[int, int] = {}
    for i, pair in enumerate(pairs):
        for at_teacher, at_student in _aligned(pair, skip):
            # Answers to one question share its tokens: each counts once.
            found[of_student[i][at_student]] = of_teacher[i][at_teacher]
    layout = Packed([(prefix, taught.segments), (None, learning.segments)])
    return _Both(
        layout,
        torch.cat([taught.ids, learning.ids]),
        torch.cat([taught.positions, learning.positions]),
        torch.tensor(list(found.values())),
        torch.tensor(list(found)),
        first,
    )


def _shared(model: PeftModel, support: Support, views: Sequence[View]) -> tuple[Prefix | None, int]:
    """Return what all views begin with, run once, and how many tokens that is."""
    begins = [beginning(view) for view in views]
    shortest = min(map(len, begins)) - 1
    skip = next(
        (i for i in range(shortest) if any(ids[i] != begins[0][i] for ids in begins)), shortest
    )
    if not skip:
        return None, 0
    with parent_only(model):
        return Prefixes(begins).of(model, support, begins[0][:skip]), skip


def _aligned(pair: Pair, skip: int) -> Iterator[tuple[int, int]]:
    """Yield positions in both views at which they read the same tokens up to there.

    From each target backwards, as far as both hold the same ids; the last target is no input.
    """
    teacher, student = pair.teacher, pair.student
    seen: set[int] = set()
    for (_, end), (_, own_end) in zip(teacher.spans, student.spans, strict=True):
        at, own = end - 2, own_end - 2
        while at >= skip and own >= 0 and own not in seen and teacher.ids[at] == student.ids[own]:
            seen.add(own)
            yield at, own
            at, own = at - 1, own - 1


def _columns(packed: Pack, views: Sequence[View], skip: int, first: int) -> dict[int, list[int]]:
    """Return, by view, the column of each of its positions in a sequence that begins at `first`."""
    found: dict[int, list[int]] = {}
    start = first
    numbers = iter(packed.views)
    for segment in packed.segments:
        end = start + segment.trunk
        for branch in segment.branches:
            shared = [-1] * skip + list(range(start, start + segment.trunk))
            found[next(numbers)] = [*shared, *range(end, end + branch)]
            end += branch
        start = end
    return found
