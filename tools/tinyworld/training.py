"""The training loop: two single-threaded ranks, one all-reduce a step, a budget in minutes.

Interrupted, it goes on from its last checkpoint. What is trained on comes from `chats`.
"""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from tokenizers import Tokenizer

from tinyworld.chats import chats
from tinyworld.model import Shape, TinyQwen3
from tinyworld.tokenizer import Encoder

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how fast; minutes count the steps alone, not compilation."""

    work: Path
    minutes: float
    seed: int = 0
    ranks: int = 2
    learning_rate: float = 4e-3
    decay_share: float = 0.40
    warmup_steps: int = 100
    micro_tokens: int = 2048
    micro_batches: int = 2
    checkpoint_s: float = 150.0
    resume: bool = False


def batches(encoder: Encoder, settings: Settings, seed: int) -> Iterator[list[Batch]]:
    """Give the micro-batches of one step at a time, each of chats of about one length."""
    stream = chats(seed)
    rng = random.Random(seed)
    while True:
        pool = sorted((encoder(next(stream)) for _ in range(1536)), key=lambda item: len(item[0]))
        groups: list[list[tuple[list[int], list[float]]]] = [[]]
        for item in pool:
            if (len(groups[-1]) + 1) * _padded(len(item[0])) > settings.micro_tokens and groups[-1]:
                groups.append([])
            groups[-1].append(item)
        groups = [group for group in groups if len(group) > 1]
        rng.shuffle(groups)
        size = settings.micro_batches
        for index in range(0, len(groups) - size + 1, size):
            yield [_tensors(group) for group in groups[index : index + size]]


def _padded(length: int) -> int:
    return math.ceil(length / 8) * 8


def _tensors(group: list[tuple[list[int], list[float]]]) -> Batch:
    width = _padded(max(len(ids) for ids, _ in group))
    ids_BT = torch.zeros(len(group), width, dtype=torch.long)
    at, target, weight = [], [], []
    for row, (ids, weights) in enumerate(group):
        ids_BT[row, : len(ids)] = torch.tensor(ids)
        for place in range(1, len(ids)):
            if weights[place]:
                at.append(row * width + place - 1)
                target.append(ids[place])
                weight.append(weights[place])
    return ids_BT, torch.tensor(at), torch.tensor(target), torch.tensor(weight)


def rate(share: float, step: int, settings: Settings) -> float:
    """Scale the learning rate: warm up, hold, then fall linearly to nothing."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    return warm * min(1.0, max(0.0, (1.0 - share) / settings.decay_share))


def train(rank: int, settings: Settings) -> None:
    """Run one rank until the minutes are used up."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(settings.work / f"inductor_{rank}")
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{settings.work}/rendezvous",
        rank=rank,
        world_size=settings.ranks,
    )
    tokenizer = Tokenizer.from_file(str(settings.work / "tokenizer.json"))
    torch.manual_seed(settings.seed)
    model = TinyQwen3(Shape(vocab=tokenizer.get_vocab_size()))
    optimizers = _optimizers(model, settings)
    progress = {"step": 0, "tokens": 0, "elapsed": 0.0, "runs": 0}
    last = settings.work / "last.pt"
    if settings.resume and last.exists():
        state = torch.load(last, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        progress = state["progress"]
    progress["runs"] += 1
    seed = int(settings.seed * 1000 + rank * 100 + progress["runs"])
    _steps(rank, settings, model, optimizers, progress, batches(Encoder(tokenizer), settings, seed))
    dist.destroy_process_group()


def _optimizers(model: TinyQwen3, settings: Settings) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.dim() != 2 or "embed" in name]
    return [
        torch.optim.Muon(
            matrices, lr=settings.learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(rest, lr=settings.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def _steps(
    rank: int,
    settings: Settings,
    model: TinyQwen3,
    optimizers: list[torch.optim.Optimizer],
    progress: dict[str, float],
    stream: Iterator[list[Batch]],
) -> None:
    compiled = torch.compile(model, dynamic=True)
    params = list(model.parameters())
    budget_s, saved_at, first_step = settings.minutes * 60, time.monotonic(), progress["step"]
    while progress["elapsed"] < budget_s:
        begun = time.monotonic()
        share = progress["elapsed"] / budget_s
        loss, tokens = _backward(compiled, next(stream))
        _all_reduce(params, settings.ranks)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(share, int(progress["step"]), settings)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        spent = time.monotonic() - begun if progress["step"] > first_step + 8 else 0.0
        # Every rank must see the same clock and stop at the same step.
        shared = torch.tensor([spent, loss, tokens], dtype=torch.float64)
        dist.all_reduce(shared)
        spent, loss = shared[0].item() / settings.ranks, shared[1].item() / settings.ranks
        progress["elapsed"] += spent
        progress["step"] += 1
        progress["tokens"] += int(shared[2].item())
        if rank == 0 and progress["step"] % 20 == 0:
            print(
                f"step {progress['step']} loss {loss:.4f} min {progress['elapsed'] / 60:.2f} "
                f"tokens {progress['tokens'] / 1e6:.2f}M tok/s "
                f"{shared[2].item() / spent if spent else 0:.0f}",
                flush=True,
            )
        if rank == 0 and time.monotonic() - saved_at > settings.checkpoint_s:
            save(settings.work / "last.pt", model, optimizers, progress)
            if progress["elapsed"] < budget_s * (1 - settings.decay_share):
                save(settings.work / "before_decay.pt", model, optimizers, progress)
            saved_at = time.monotonic()
    if rank == 0:
        save(settings.work / "last.pt", model, optimizers, progress)


def _backward(compiled: torch.nn.Module, micro: list[Batch]) -> tuple[float, int]:
    """Add up the gradients of a step; return the mean answer loss and the tokens read."""
    total = sum(float(weight.sum()) for *_, weight in micro)
    answer, count, tokens = 0.0, 0, 0
    for ids_BT, at_N, target_N, weight_N in micro:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, loss_N = compiled(ids_BT, at_N, target_N, weight_N)
        (loss / total).backward()
        full = weight_N == 1
        answer += float(loss_N[full].sum())
        count += int(full.sum())
        tokens += ids_BT.numel()
    return answer / max(count, 1), tokens


def _all_reduce(params: list[torch.nn.Parameter], ranks: int) -> None:
    flat = torch.cat([p.grad.flatten() for p in params])
    dist.all_reduce(flat)
    flat /= ranks
    offset = 0
    for p in params:
        p.grad.copy_(flat[offset : offset + p.numel()].view_as(p))
        offset += p.numel()


def save(
    path: Path,
    model: TinyQwen3,
    optimizers: list[torch.optim.Optimizer],
    progress: dict[str, float],
) -> None:
    """Write a checkpoint under another name, then rename it."""
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "model": model.state_dict(),
            "progress": dict(progress),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        },
        partial,
    )
    partial.replace(path)
