"""The training loop: two single-threaded ranks, one all-reduce a step, resumable at any step.

What a step trains on is decided by the seed, the rank and the number of the step alone, so an
interrupted run ends with the weights of a whole one. The chats come from `chats`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
import torch.distributed as dist
from tokenizers import Tokenizer

from tinyworld.chats import chats
from tinyworld.model import Shape, TinyQwen3
from tinyworld.tokenizer import Encoder

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
Progress = dict[str, float]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how fast; `minutes` end one sitting, not the schedule."""

    work: Path
    steps: int
    minutes: float = math.inf
    seed: int = 0
    ranks: int = 2
    learning_rate: float = 4e-3
    decay_share: float = 0.40
    warmup_steps: int = 100
    micro_tokens: int = 6144
    # Chats are drawn, sorted by length and shuffled in blocks; a step's block follows from it.
    block_steps: int = 16
    block_chats: int = 1536
    checkpoint_s: float = 150.0
    resume: bool = False
    compile: bool = True
    shape: Shape = field(default_factory=Shape)


def batches(encoder: Encoder, settings: Settings, rank: int, step: int) -> Iterator[Batch]:
    """Give the batch of each step from `step` on, of chats of about one length."""
    while True:
        block, skip = divmod(step, settings.block_steps)
        yield from islice(_block(encoder, settings, rank, block), skip, None)
        step = (block + 1) * settings.block_steps


def _block(encoder: Encoder, settings: Settings, rank: int, block: int) -> Iterator[Batch]:
    stream = chats(f"{settings.seed} {rank} {block}")
    rng = random.Random(f"batches {settings.seed} {rank} {block}")
    pool: list[tuple[list[int], list[float]]] = []
    groups: list[list[tuple[list[int], list[float]]]] = []
    while len(groups) < settings.block_steps:
        pool += [encoder(next(stream), rng) for _ in range(settings.block_chats)]
        groups = _grouped(sorted(pool, key=lambda item: len(item[0])), settings.micro_tokens)
    rng.shuffle(groups)
    yield from map(_tensors, groups[: settings.block_steps])


def _grouped(
    pool: list[tuple[list[int], list[float]]], size: int
) -> list[list[tuple[list[int], list[float]]]]:
    """Cut chats in order of length into groups of at most so many tokens, padding counted."""
    groups: list[list[tuple[list[int], list[float]]]] = [[]]
    for item in pool:
        if groups[-1] and (len(groups[-1]) + 1) * _padded(len(item[0])) > size:
            groups.append([])
        groups[-1].append(item)
    return [group for group in groups if len(group) > 1]


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


def rate(step: int, settings: Settings) -> float:
    """Scale the learning rate: warm up, hold, then fall linearly to nothing."""
    warm = min(1.0, (step + 1) / settings.warmup_steps)
    left = 1.0 - step / settings.steps
    return warm * min(1.0, left / settings.decay_share)


def train(rank: int, settings: Settings) -> None:
    """Run one rank until all steps are done or the minutes are used up."""
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
    model = TinyQwen3(settings.shape)
    optimizers = _optimizers(model, settings)
    progress: Progress = {"step": 0, "tokens": 0, "elapsed": 0.0}
    last = settings.work / "last.pt"
    if settings.resume and last.exists():
        state = torch.load(last, weights_only=True)
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        progress = state["progress"]
    stream = batches(Encoder(tokenizer), settings, rank, int(progress["step"]))
    _steps(rank, settings, model, optimizers, progress, stream)
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
    progress: Progress,
    stream: Iterator[Batch],
) -> None:
    forward = torch.compile(model, dynamic=True) if settings.compile else model
    parent = os.getppid()
    params = list(model.parameters())
    begun = saved_at = told_at = time.monotonic()
    already, losses = progress["elapsed"], []
    while progress["step"] < settings.steps:
        step = int(progress["step"])
        loss, tokens = _backward(forward, next(stream))
        _all_reduce(params, settings.ranks)
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * rate(step, settings)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        # Every rank must see the same clock, so that all stop at the same step; a rank whose parent
        # was killed would go on by itself.
        is_orphan = os.getppid() != parent
        seen = [time.monotonic() - begun, loss, tokens, is_orphan]
        shared = torch.tensor(seen, dtype=torch.float64)
        dist.all_reduce(shared)
        spent, loss, tokens, orphans = shared.tolist()
        losses.append(loss / settings.ranks)
        progress["elapsed"] = already + spent / settings.ranks
        progress["step"] += 1
        progress["tokens"] += int(tokens)
        over = spent / settings.ranks >= settings.minutes * 60 or orphans > 0
        done = over or progress["step"] == settings.steps
        if rank == 0 and (done or time.monotonic() - told_at > 10.0):
            _tell(settings, progress, losses)
            losses, told_at = [], time.monotonic()
        if rank == 0 and (done or time.monotonic() - saved_at > settings.checkpoint_s):
            save(settings, "last.pt", model, optimizers, progress)
            if progress["step"] <= settings.steps * (1 - settings.decay_share):
                save(settings, "before_decay.pt", model, optimizers, progress)
            saved_at = time.monotonic()
        if over:
            break


def _tell(settings: Settings, progress: Progress, losses: list[float]) -> None:
    """Print where the run stands, and append it to the log."""
    row = {
        "step": int(progress["step"]),
        "tokens": int(progress["tokens"]),
        "minutes": round(progress["elapsed"] / 60, 2),
        "loss": round(sum(losses) / max(len(losses), 1), 4),
        "rate": round(rate(int(progress["step"]) - 1, settings), 4),
    }
    with (settings.work / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")
    print(
        f"step {row['step']}/{settings.steps} loss {row['loss']:.4f} min {row['minutes']:.1f} "
        f"tokens {row['tokens'] / 1e6:.1f}M "
        f"{row['tokens'] / max(progress['elapsed'], 1e-9):.0f}/s",
        flush=True,
    )


def _backward(forward: torch.nn.Module, batch: Batch) -> tuple[float, int]:
    """Make the gradients of a step; return the mean answer loss and the tokens read."""
    ids_BT, at_N, target_N, weight_N = batch
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, loss_N = forward(ids_BT, at_N, target_N, weight_N)
    (loss / float(weight_N.sum())).backward()
    full = weight_N == 1
    return float(loss_N[full].sum()) / max(int(full.sum()), 1), ids_BT.numel()


def _all_reduce(params: list[torch.nn.Parameter], ranks: int) -> None:
    flat = torch.cat([p.grad.flatten() for p in params])
    dist.all_reduce(flat)
    flat /= ranks
    offset = 0
    for p in params:
        p.grad.copy_(flat[offset : offset + p.numel()].view_as(p))
        offset += p.numel()


def check(settings: Settings) -> None:
    """Refuse to go on from a checkpoint of another run."""
    last = settings.work / "last.pt"
    if not settings.resume or not last.exists():
        return
    state = torch.load(last, weights_only=True)
    made, asked = state["made"], _made(settings)
    held = (1 - settings.decay_share) * min(made["steps"], asked["steps"])
    if state["progress"]["step"] <= held:  # so far every length has the same rates
        asked["steps"] = made["steps"]
    if made != asked:
        raise SystemExit(f"{last} was made with {made}, not with {asked}: it cannot go on")


def _made(settings: Settings) -> dict[str, int | str]:
    """Give what decides the weights besides the step."""
    tokenizer = hashlib.sha256((settings.work / "tokenizer.json").read_bytes()).hexdigest()
    return {
        "seed": settings.seed,
        "steps": settings.steps,
        "vocabulary": settings.shape.vocab,
        "tokenizer": tokenizer[:16],
    }


def save(
    settings: Settings,
    name: str,
    model: TinyQwen3,
    optimizers: list[torch.optim.Optimizer],
    progress: Progress,
) -> None:
    """Write a checkpoint under another name, then rename it."""
    path = settings.work / name
    partial = path.with_suffix(".partial")
    torch.save(
        {
            "made": _made(settings),
            "model": model.state_dict(),
            "progress": dict(progress),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        },
        partial,
    )
    partial.replace(path)
