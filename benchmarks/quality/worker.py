"""One side of one case in a process of its own: `python -m benchmarks.quality.worker CASE SIDE`.

SIDE `exam` makes the exam, which is not counted. The last line of the output is the result as
JSON; what trainers print stands before it. Counted is everything after the imports: loading,
questions, sampling, the teacher's record, first weights, steps.
"""

from __future__ import annotations

import argparse
import importlib
import json
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from benchmarks.meter import Meter, peak_mb
from benchmarks.quality import cases, exam
from benchmarks.quality.cases import Case
from benchmarks.quality.watch import StopLearning, Watch
from benchmarks.worker import FIRST_USED_LATE

Side = Callable[[Case, Watch, Path, int], None]

SIDES = {
    "ours": "ours:ours",
    "ours_v1": "ours:ours_v1",
    "ours_as_trl": "ours:ours_as_trl",
    "trl_tuned": "trl:trl_tuned",
    "trl": "trl:trl",
    "seed": "loops:seed_loop",
    "fine_tuning": "loops:fine_tuning",
}
"""Each side by its module and function: none pays for another's imports."""


def main() -> None:
    """Measure one side, on one thread."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.worker")
    parser.add_argument("case")
    parser.add_argument("side", choices=["exam", *SIDES])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--budget", type=float, help="CPU seconds; default: the case's")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    case = cases.named(asked.case)
    if asked.side == "exam":
        exam.make(case, case.exam)
        return
    if asked.budget is not None:
        case = replace(case, budget_s=asked.budget)
    print(json.dumps(measured(case, side_of(asked.side), asked.seed)))


def side_of(name: str) -> Side:
    """Return what a side does, with all it needs imported."""
    module, _, function = SIDES[name].partition(":")
    for late in FIRST_USED_LATE:
        importlib.import_module(late)
    found = importlib.import_module(f"benchmarks.quality.{module}")
    for late in getattr(found, "IMPORTED_LATE", ()):
        importlib.import_module(late)
    side: Side = getattr(found, function)
    return side


def measured(case: Case, side: Side, seed: int) -> dict[str, Any]:
    """Return what a side cost, and how good it was when."""
    tokenizer = AutoTokenizer.from_pretrained(exam.folder_of(exam.base_of(case)))
    asked = exam.Exam(case.exam, tokenizer)
    watch = Watch(case, asked, case.budget_s)
    with tempfile.TemporaryDirectory() as folder, Meter() as meter:
        with suppress(StopLearning):
            side(case, watch, Path(folder), seed)
        cpu_s, peak = watch.cpu_s, peak_mb()
    watch.end(cpu_s)
    return {
        "before": asked.before,
        "points": [astuple(point) for point in watch.points],
        "judged": list(watch.judged.items()),
        "ended": watch.ended,
        "steps": watch.step,
        "marks": watch.marks,
        "cpu_s": cpu_s,
        "wall_s": meter.wall_s,
        "peak_mb": peak,
        "grown_mb": meter.grown_mb,
        "imported": meter.imported,
    }


if __name__ == "__main__":
    main()
