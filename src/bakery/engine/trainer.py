"""A `transformers.Trainer` whose loss is the divergence from the recorded teacher.

Only loss, batches and checkpoints of the one trainable adapter; every `TrainingArguments`
field works as it does in transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from bakery.engine.adapters import load_own_state, own_state
from bakery.engine.losses import Loss
from bakery.engine.readout import Readout
from bakery.engine.teacher import TeacherRecord, padded
from bakery.engine.views import Pair

OWN_WEIGHTS = "own.safetensors"


class TrajectoryDataset(Dataset[Pair]):
    """Pairs by index."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        return self.pairs[index]


def collator(record: TeacherRecord, pad_id: int) -> Callable[[Sequence[Pair]], dict[str, Any]]:
    """Return the function that turns pairs into one padded batch with its teacher features."""

    def collate(pairs: Sequence[Pair]) -> dict[str, Any]:
        ids, mask, rows, cols = padded([p.student for p in pairs], pad_id)
        teacher = torch.cat([record.features(p.key) for p in pairs])
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "rows": rows,
            "cols": cols,
            "teacher": teacher,
        }

    return collate


class ContextBakingTrainer(Trainer):
    """Fit the student to the teacher's recorded distribution at every target position."""

    # The loss is divided by the targets of the whole optimiser step, on all processes.
    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PeftModel,
        args: TrainingArguments,
        *,
        readout: Readout,
        loss: Loss,
        train_dataset: Dataset[Pair],
        data_collator: Callable[[Sequence[Pair]], dict[str, Any]],
        callbacks: list[Any] | None = None,
    ) -> None:
        self.readout = readout
        self.loss = loss
        super().__init__(
            model=model,
            args=args,
            train_dataset=train_dataset,
            data_collator=data_collator,
            callbacks=callbacks,
        )

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """Return the micro-batches of one optimiser step, and how many targets they hold."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        count = torch.tensor(sum(len(batch["rows"]) for batch in batches), device=device)
        if self.args.world_size > 1:
            count = self.accelerator.gather(count).sum()
        return batches, count

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Return the summed divergence over the step's number of targets."""
        features = self.readout.features(
            model, inputs["input_ids"], inputs["attention_mask"], inputs["rows"], inputs["cols"]
        )
        with torch.no_grad():
            teacher_NV = self.readout.logits(inputs["teacher"])
        total = self.loss(self.readout.logits(features), teacher_NV)
        count = num_items_in_batch if num_items_in_batch is not None else len(inputs["rows"])
        # Processes average their gradients; each has only its own share of the sum.
        loss = total / count * self.args.world_size
        return (loss, {}) if return_outputs else loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Checkpoint the trainable tensors: base and parent are elsewhere, and frozen."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        model = self.accelerator.unwrap_model(self.model)
        save_file(own_state(model), str(folder / OWN_WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Put the trainable tensors of a checkpoint back."""
        load_own_state(model or self.model, Path(resume_from_checkpoint) / OWN_WEIGHTS)
