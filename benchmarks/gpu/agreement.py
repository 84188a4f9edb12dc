"""Is a loss in bf16 what the CPU says in fp32? The same weights, the same tokens, two ways.

Here: our trainer, packed, behind a prefix that runs once, with the fused loss. There: the model
row by row in fp32 and the definition of KL. Weights are the same numbers, as bf16 fits into fp32.

bf16 keeps 8 bits of a number, so one rounding is off by at most u = 2^-8 of it. The stream of a
model is rounded at its beginning and twice in each layer, independently, so what the head reads is
off by about u · sqrt(2 layers + 1), and so are logits and the mean loss over many positions, to the
first order. The gradient comes back through as many roundings again: sqrt(2) times that, and it is
of one step, not a mean: twice of it is allowed.
Shapes: N target positions · V vocabulary.
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  # the name everyone reads at once
from peft import PeftModel
from transformers import TrainerCallback

from bakery import (
    BakeryConfig,
    ContextBakingTrainer,
    ContextConfig,
    create_conversational_dataset,
)
from bakery.engine.text.views import Pair, View
from benchmarks.gpu import device as on
from benchmarks.gpu.subjects import Subject
from benchmarks.workload import Workload


def allowed(layers: int) -> tuple[float, float]:
    """Return how far loss and gradient may be off, relatively, in a model of so many layers."""
    of_loss = on.UNIT * math.sqrt(2 * layers + 1)
    return of_loss, 2 * math.sqrt(2) * of_loss


def measure(subject: Subject, workload: Workload, device: str) -> dict[str, Any]:
    """Return losses and gradients of both ways, and whether they are within what is allowed."""
    model = subject.adapted(moved=True)
    reference = copy.deepcopy(model).to("cpu", torch.float32)
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(subject, workload, model, folder, device)
        trainer.start_round(0)
        pairs = list(trainer.train_dataset.pairs)
        expected, expected_grad = plain(reference, pairs)
        del reference
        seen = _Seen()
        trainer.add_callback(seen)
        on.forget_peak(device)
        trainer.train()
        ours = next(entry["loss"] for entry in trainer.state.log_history if "loss" in entry)
        peak_gb = on.peak_gb(device)
    loss_off = abs(ours - expected) / abs(expected)
    grad_off = float((seen.gradient - expected_grad).norm() / expected_grad.norm())
    of_loss, of_gradient = allowed(subject.layers)
    return {
        "layers": subject.layers,
        "positions": sum(pair.num_targets for pair in pairs),
        "loss": ours,
        "loss_cpu_fp32": expected,
        "loss_off": loss_off,
        "loss_allowed": of_loss,
        "gradient_off": grad_off,
        "gradient_allowed": of_gradient,
        "peak_gb": peak_gb,
        "numerics": trainer.numerics.as_data() if trainer.numerics else {},
        # Not `>`: nothing is within what is allowed where it is not a number.
        "is_off": not (loss_off <= of_loss and grad_off <= of_gradient),
    }


def plain(model: PeftModel, pairs: Sequence[Pair]) -> tuple[float, torch.Tensor]:
    """Return KL(teacher ‖ student) a position by its definition, and its gradient, flat."""
    count = sum(pair.num_targets for pair in pairs)
    model.eval()
    total = 0.0
    for pair in pairs:
        with torch.no_grad(), model.disable_adapter():
            log_p_NV = _log_probabilities(model, pair.teacher)
        log_q_NV = _log_probabilities(model, pair.student)
        loss = F.kl_div(log_q_NV, log_p_NV, log_target=True, reduction="sum") / count
        loss.backward()
        total += float(loss.detach())
    return total, _gradient(model)


def _log_probabilities(model: PeftModel, view: View) -> torch.Tensor:
    logits_TV = model(input_ids=torch.tensor([view.ids]), use_cache=False).logits[0]
    return F.log_softmax(logits_TV[view.predicting], dim=-1)


def _gradient(model: torch.nn.Module) -> torch.Tensor:
    """Return the gradient of all that is trained as one vector on the CPU."""
    found = [
        p.grad.detach().float().cpu().flatten() for p in model.parameters() if p.grad is not None
    ]
    return torch.cat(found)


class _Seen(TrainerCallback):
    """Keeps the gradient of the only step."""

    gradient: torch.Tensor

    def on_pre_optimizer_step(self, *_: Any, **given: Any) -> None:
        self.gradient = _gradient(given["model"])


def _trainer(
    subject: Subject, workload: Workload, model: PeftModel, folder: str, device: str
) -> ContextBakingTrainer:
    rows = [
        {"turns": [{"role": "user", "content": question}], "response": response}
        for question, response in zip(subject.questions, subject.responses, strict=True)
    ]
    args = BakeryConfig(
        **workload.training(folder) | {"use_cpu": device != "cuda", "bf16": device == "cuda"},
        per_device_train_batch_size=len(rows),
        max_grad_norm=0.0,  # a gradient that is cut to a length says less
        first_weights="random",
    )
    context = ContextConfig(prefix_messages=[{"role": "system", "content": subject.system}])
    return ContextBakingTrainer(
        model,
        args,
        context,
        create_conversational_dataset(rows),
        processing_class=subject.tokenizer,
    )
