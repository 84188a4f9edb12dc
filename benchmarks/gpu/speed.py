"""Tokens a second of sampling and of training, their share of the matrix peak, and memory.

Sampling includes the prefill of the prefix and the teacher's record; training is all of `train()`
from the end of one step to the end of the last: batches, forward, loss, backward, optimiser. Work
is counted in multiplications and additions of the matrix products that no way of doing it can
spare.
"""

from __future__ import annotations

import tempfile
import time
from typing import Any

from transformers import TrainerCallback

from bakery import BakeryConfig, ContextBakingTrainer, ContextConfig, create_dataset
from benchmarks.gpu import device as on
from benchmarks.gpu.cases import Size
from benchmarks.gpu.subjects import Subject
from benchmarks.workload import Workload


def measure(subject: Subject, size: Size, device: str) -> dict[str, Any]:
    """Return tokens a second, shares of the matrix peak, and the most memory."""
    peak_flops = on.matrix_peak(device, size.peak)
    on.freed()
    decoder, head = subject.products()
    workload = size.speed
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(subject, workload, folder, device)
        on.forget_peak(device)
        sampling_s = on.timed(device, lambda: trainer.start_round(0))
        sampling_gb = on.peak_gb(device)
        pairs = trainer.train_dataset.pairs
        targets = sum(pair.num_targets for pair in pairs)
        asked = sum(pair.student.spans[0][0] for pair in pairs) // workload.samples
        # Every token once through the decoder, an answer's through the head; a record that runs
        # answers once more is work that could be spared.
        sampling_flops = 2 * (decoder * (workload.prefix + asked + targets) + head * targets)
        steps = _Steps(device, size.warm_up)
        trainer.add_callback(steps)
        steps.count(trainer)
        on.forget_peak(device)
        trainer.train()
        training_gb = on.peak_gb(device)
    # The decoder forward and its input gradient; the head for student, teacher and gradient.
    step_flops = 2 * (2 * decoder * steps.tokens + 3 * head * steps.targets)
    return {
        "decoder_weights": decoder,
        "head_weights": head,
        "answers": len(pairs),
        "sampled_tokens": targets,
        "sampling_s": sampling_s,
        "sampling_tokens_s": targets / sampling_s,
        "sampling_share": sampling_flops / sampling_s / peak_flops,
        "sampling_gb": sampling_gb,
        "steps": steps.timed,
        "step_s": steps.seconds / steps.timed,
        "training_tokens_s": steps.tokens / steps.seconds,
        "training_share": step_flops / steps.seconds / peak_flops,
        "training_gb": training_gb,
        "matrix_peak_tflops": peak_flops / 1e12,
        "numerics": trainer.numerics.as_data() if trainer.numerics else {},
    }


class _Steps(TrainerCallback):
    """Times the steps behind the first ones, and counts what went through them."""

    def __init__(self, device: str, warm_up: int) -> None:
        self._device, self._warm_up = device, warm_up
        self._begin = 0.0
        self.seconds, self.timed, self.tokens, self.targets = 0.0, 0, 0, 0

    def count(self, trainer: ContextBakingTrainer) -> None:
        """Have the trainer's step say how much it was given."""
        inner = trainer.training_step

        def counted(model: Any, inputs: dict[str, Any], *more: Any) -> Any:
            if self._begin:
                self.tokens += int(inputs["input_ids"].numel())
                self.targets += len(inputs["rows"])
            return inner(model, inputs, *more)

        trainer.training_step = counted  # type: ignore[method-assign]

    def on_step_end(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
        """Begin behind the warm-up, and go on to the last step."""
        if state.global_step < self._warm_up:
            return
        on.wait(self._device)
        now = time.perf_counter()
        if self._begin:
            self.seconds, self.timed = now - self._begin, state.global_step - self._warm_up
        else:
            self._begin = now


def _trainer(
    subject: Subject, workload: Workload, folder: str, device: str
) -> ContextBakingTrainer:
    args = BakeryConfig(
        **workload.training(folder) | {"use_cpu": device != "cuda", "bf16": device == "cuda"},
        per_device_train_batch_size=workload.rows // workload.samples,
        num_trajectories=workload.samples,
        trajectory_length=workload.answer,
        sampling_temperature=1.0,
        top_p=1.0,
        reuse_trajectories=True,
        first_weights="random",
    )
    return ContextBakingTrainer(
        subject.adapted(),
        args,
        ContextConfig(prefix_messages=[{"role": "system", "content": subject.system}]),
        create_dataset(list(subject.questions)),
        processing_class=subject.tokenizer,
    )
