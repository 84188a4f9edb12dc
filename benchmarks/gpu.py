"""Tokens per second on a GPU, on random bf16 models shaped like Qwen3-0.6B and Qwen3-8B.

`python -m benchmarks.gpu` says so and does nothing where there is no GPU. Sampling includes the
prefill of the prefix and the teacher's record; a training step is forward, loss, backward and
optimiser. Work is counted in multiplications and additions of the matrix products that no way of
doing it can spare, and set against what a large bf16 product reaches on the same GPU.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM, Qwen3Config

from bakery import BakeryConfig, ContextBakingTrainer, ContextConfig, create_dataset
from benchmarks import results
from benchmarks.results import FOLDER, ROOT
from benchmarks.workload import Workload, never_says

WARM_UP = 2
STEPS = 8
PEAK_SIZE = 8192


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model, and what is asked of it."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool
    workload: Workload

    @property
    def decoder(self) -> int:
        """Weights of all linear layers but the head."""
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def head(self) -> int:
        """Weights of the LM head."""
        return self.hidden * self.workload.vocab


_TEXT = Workload(prefix=1024, vocab=151_936, answer=128, prompts=32, samples=8, rows=64)
SHAPES = {
    "Qwen3-0.6B": Shape(1024, 28, 16, 8, 128, 3072, True, _TEXT),
    "Qwen3-8B": Shape(4096, 36, 32, 8, 128, 12288, False, _TEXT),
}


def main() -> None:
    """Measure every shape in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, help="this one, in this process, as JSON")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: the GPU cases are skipped")
        return
    if asked.shape:
        print(json.dumps(measure(SHAPES[asked.shape], "cuda", matrix_peak("cuda"))))
        return
    path = FOLDER / f"gpu-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
    results.append(path, results.description() | {"gpu": torch.cuda.get_device_name()})
    print(f"{torch.cuda.get_device_name()}; shares are of {PEAK_SIZE}³ in bf16, measured here")
    print(f"{'':12}{'sampling':>22}{'training':>22}{'peak':>9}")
    print(f"{'':12}{'tokens/s':>14}{'share':>8}{'tokens/s':>14}{'share':>8}{'GB':>9}")
    for name in SHAPES:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.gpu", "--shape", name],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            row = {"error": (done.stderr.strip().splitlines() or ["it said nothing"])[-1]}
            print(f"{name:<12}failed: {row['error']}")
        else:
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{name:<12}{row['sampling_tokens_s']:>14,.0f}{row['sampling_share']:>8.1%}"
                f"{row['training_tokens_s']:>14,.0f}{row['training_share']:>8.1%}"
                f"{row['peak_gb']:>9.1f}"
            )
        results.append(path, {"case": name, **row})


def measure(shape: Shape, device: str, peak_flops: float) -> dict[str, Any]:
    """Return tokens per second, shares of the matrix peak, and memory of one shape."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = _trainer(shape, device, folder)
        _reset(device)
        sampling_s = _timed(device, lambda: trainer.start_round(0))
        sampling_gb = _peak_gb(device)
        pairs = trainer.train_dataset.pairs
        targets = sum(pair.num_targets for pair in pairs)
        prefilled = shape.workload.prefix + shape.workload.prompt * shape.workload.prompts
        # Every token once through the decoder, an answer's through the head; a record that runs
        # answers once more is work that could be spared.
        sampling_flops = 2 * (shape.decoder * (prefilled + targets) + shape.head * targets)

        trainer.create_optimizer()
        batch = next(iter(trainer.get_train_dataloader()))
        weight = batch["weights"].sum()

        def step() -> None:
            trainer.training_step(trainer.model, dict(batch), weight)
            trainer.optimizer.step()
            trainer.optimizer.zero_grad()

        for _ in range(WARM_UP):
            step()
        _reset(device)
        step_s = _timed(device, lambda: [step() for _ in range(STEPS)]) / STEPS
        tokens = int(batch["input_ids"].numel())
        # The decoder forward and its input gradient; the head for student, teacher and gradient.
        step_flops = 2 * (2 * shape.decoder * tokens + 3 * shape.head * len(batch["rows"]))
    return {
        "sampling_tokens_s": targets / sampling_s,
        "sampling_share": sampling_flops / sampling_s / peak_flops,
        "sampling_gb": sampling_gb,
        "training_tokens_s": tokens / step_s,
        "training_share": step_flops / step_s / peak_flops,
        "peak_gb": max(sampling_gb, _peak_gb(device)),
        "matrix_peak_tflops": peak_flops / 1e12,
        "numerics": trainer.numerics.as_data() if trainer.numerics else {},
    }


def matrix_peak(device: str, size: int = PEAK_SIZE) -> float:
    """Return the operations per second that a large square bf16 product reaches here."""
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    b = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    for _ in range(WARM_UP):
        a @ b
    best = min(_timed(device, lambda: a @ b) for _ in range(10))
    return 2 * size**3 / best


def _trainer(shape: Shape, device: str, folder: str) -> ContextBakingTrainer:
    workload = shape.workload
    torch.manual_seed(workload.seed)
    config = Qwen3Config(
        vocab_size=workload.vocab + 1,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=1 << 15,
        tie_word_embeddings=shape.tied,
        pad_token_id=0,
    )
    with torch.device(device):
        base = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    never_says(base, workload.vocab)
    on_gpu = device == "cuda"
    args = BakeryConfig(
        **workload.training(folder) | {"use_cpu": not on_gpu, "bf16": on_gpu},
        per_device_train_batch_size=workload.rows // workload.samples,
        num_trajectories=workload.samples,
        trajectory_length=workload.answer,
        sampling_temperature=1.0,
        top_p=1.0,
        reuse_trajectories=True,
        first_weights="random",
    )
    return ContextBakingTrainer(
        get_peft_model(base, workload.lora),
        args,
        ContextConfig(prefix_messages=[{"role": "system", "content": workload.system}]),
        create_dataset(workload.questions),
        processing_class=workload.tokenizer,
    )


def _timed(device: str, work: Any) -> float:
    """Return the wall-clock seconds of some work, up to its last kernel."""
    _wait(device)
    begin = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - begin


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _reset(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def _peak_gb(device: str) -> float:
    return torch.cuda.max_memory_allocated() / 1e9 if device == "cuda" else 0.0


if __name__ == "__main__":
    main()
