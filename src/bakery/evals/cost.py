"""What a bake saves, what it took, and after how many requests that is even."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bakery.evals.figures import Axis, Figure, unmeasured
from bakery.evals.intervals import mean
from bakery.evals.lab import Lab
from bakery.evals.sides import Side
from bakery.evals.subject import Subject
from bakery.identity import SamplingSettings
from bakery.records import Prompt

MB = 10**6
OF = "requests"


@dataclass(frozen=True, slots=True)
class Spent:
    """What a bake took: seconds of all its stages, and bytes of its adapter."""

    seconds: float
    adapter: Path | None


def cost(lab: Lab, subject: Subject, spent: Spent) -> Axis:
    """Measure prompt tokens saved and the time to the first token, and say when it pays off.

    Times are of one request at a time, on this machine; the first of each is left out.
    """
    asked = [one.messages for one in subject.asked[: lab.suite.timings]]
    if not asked:
        return unmeasured("cost", "there is no question to ask", target=subject.name)
    settings = SamplingSettings(1, 1)
    prefix = lab.sides.local.prefix
    long = [prefix(subject.teacher, q, settings) for q in asked]
    short = [prefix(subject.student, q, settings) for q in asked]
    saved = [float(len(a) - len(b)) for a, b in zip(long, short, strict=True)]
    prompted = _first_tokens(lab, "prompted", subject.teacher, long, cached=False)
    behind = _first_tokens(lab, "prompted", subject.teacher, long, cached=True)
    baked = _first_tokens(lab, "baked", subject.student, short, cached=False)
    figures = (
        mean("prompt_tokens_saved", saved, "tokens", OF),
        _median("first_token_prompted", prompted),
        _median("first_token_cached", behind),
        _median("first_token_baked", baked),
        _size(spent.adapter),
        Figure("bake_seconds", spent.seconds, "seconds", 1, "bakes"),
        _even("break_even", spent.seconds, prompted, baked),
        _even("break_even_cached", spent.seconds, behind, baked),
    )
    on = f"{len(asked)} {subject.on}, one request at a time, on this machine"
    return Axis("cost", on, figures, (), subject.name)


def _even(name: str, seconds: float, before: Sequence[float], after: Sequence[float]) -> Figure:
    """Return after how many requests the seconds of a bake are saved."""
    saved = median(before) - median(after)
    if saved <= 0:
        return Figure(name, None, "requests", len(before), "timings", why="never: it saves no time")
    return Figure(name, seconds / saved, "requests", len(before), "timings")


def _median(name: str, values: Sequence[float]) -> Figure:
    """Return the median of timings, between the fastest and the slowest."""
    return Figure(name, median(values), "seconds", len(values), "timings", min(values), max(values))


def _size(adapter: Path | None) -> Figure:
    if adapter is None or not adapter.is_file():
        return Figure("adapter_mb", None, "MB", 0, "files", why="there is no adapter")
    return Figure("adapter_mb", adapter.stat().st_size / MB, "MB", 1, "files")


def _first_tokens(
    lab: Lab, side: Side, prompt: Prompt, rows: Sequence[Sequence[int]], *, cached: bool
) -> list[float]:
    """Return the seconds until each request has its first token."""
    model: Any = lab.sides.local.model
    device = next(model.parameters()).device
    shared = _shared(rows) if cached else 0
    with lab.sides.turned(side), torch.no_grad():
        kept = None
        if shared:
            kept = model(torch.tensor([rows[0][:shared]], device=device), use_cache=True)
        times = []
        for row in (rows[0], *rows):
            past = copy.deepcopy(kept.past_key_values) if kept is not None else None
            ids = torch.tensor([row[shared:]], device=device)
            began = time.perf_counter()
            # The arg max waits for an accelerator to be done.
            int(model(ids, past_key_values=past, use_cache=True).logits[0, -1].argmax())
            times.append(time.perf_counter() - began)
    return times[1:]


def _shared(rows: Sequence[Sequence[int]]) -> int:
    """Return how many ids all requests begin with; the last of each is never among them."""
    shortest = min(map(len, rows)) - 1
    first = rows[0]
    return next(
        (at for at in range(shortest) if any(row[at] != first[at] for row in rows)), shortest
    )
