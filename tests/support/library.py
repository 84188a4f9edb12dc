"""The library, as its users call it, on a small random model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bakery.distil.trainer import ContextBakingTrainer
from bakery.reporting import Quiet, Reporter
from bakery.settings.config import BakeryConfig, ContextConfig

PREFIX = [{"role": "system", "content": "SHOUT!"}]


def trainer(
    base: Path,
    out: Path,
    dataset: Any,
    *,
    context: ContextConfig | None = None,
    kind: type[ContextBakingTrainer] = ContextBakingTrainer,
    evaluation: Any = None,
    reporter: Reporter | None = None,
    modules: str | list[str] = "all-linear",
    **settings: Any,
) -> ContextBakingTrainer:
    """Return a trainer on a fresh copy of the model, seeded as users seed it."""
    torch.manual_seed(0)
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
        peft.LoraConfig(r=4, lora_alpha=8, target_modules=modules, task_type="CAUSAL_LM"),
    )
    made: dict[str, Any] = {
        "output_dir": str(out),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "learning_rate": 5e-3,
        "first_weights": "random",
        "logging_steps": 1,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "num_trajectories": 2,
        "trajectory_length": 12,
        **settings,
    }
    return kind(
        model=model,
        args=BakeryConfig(**made),
        context_config=context or ContextConfig(prefix_messages=PREFIX),
        train_dataset=dataset,
        eval_dataset=evaluation,
        processing_class=AutoTokenizer.from_pretrained(base),
        reporter=reporter,
    )


def said_by(made: ContextBakingTrainer) -> list[str]:
    """Return what a trainer has said that was given nobody to say it to."""
    assert isinstance(made.reporter, Quiet)
    return made.reporter.notes


def losses(made: ContextBakingTrainer) -> list[float]:
    """Return the loss of every step so far."""
    return [row["loss"] for row in made.state.log_history if "loss" in row]


def weights(made: ContextBakingTrainer) -> dict[str, torch.Tensor]:
    """Return the adapter's tensors."""
    return {n: p.detach().clone() for n, p in made.model.named_parameters() if p.requires_grad}
