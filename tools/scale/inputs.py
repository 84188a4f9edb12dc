"""What is counted with: each number with its unit, and where it is from.

Three kinds: read from a result file, measured once and written down in docs/log.md, or assumed. A
GPU's rates are read from benchmarks/results/gpu.json, where a card has been measured; else they
are worked out, and say so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bakery import costs

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"

ASSUMED = "assumed"
MEASURED = "docs/log.md, 2026-12-01"
"""Three bakes on `tiny`, pushed with --data: to a folder, and to a stand-in of the hub."""


@dataclass(frozen=True, slots=True)
class Input:
    """A number, its unit, and where it is from."""

    name: str
    value: float
    unit: str
    source: str


_LOAD = (
    Input("repositories", 100_000, "", ASSUMED),
    Input("bakes_a_day", 1000, "in all of them", ASSUMED),
    Input("peak_factor", 3, "busiest over mean", ASSUMED),
    Input("spread", 0.5, "of a length, over its mean", ASSUMED),
    Input("most_wait_s", 60, "s, for 95 % of jobs", ASSUMED),
    Input("readers", 3, "clones that pull a bake", ASSUMED),
    Input("new_workers", 0.1, "of all, each day", ASSUMED),
    Input("share_smollm2", 0.2, "of bakes, on a CPU", ASSUMED),
    Input("share_06b", 0.5, "of bakes, on a GPU", ASSUMED),
    Input("share_8b", 0.3, "of bakes, on a GPU", ASSUMED),
)
_BAKE = (
    Input("answers", 250, "a bake", "docs/real-model.md"),
    Input("asked_by_model", 83, "questions, a bake", "docs/log.md, 2026-11-29"),
    Input("question_tokens", 24, "tokens", ASSUMED),
    Input("answer_tokens", 64, "tokens", "benchmarks/workload.py"),
    Input("prompt_tokens", 1024, "tokens", "benchmarks/workload.py"),
    Input("steps", 60, "a bake", "src/bakery/defaults.py"),
    Input("batch", 4, "answers a step", "src/bakery/defaults.py"),
    Input("rank", 32, "a bake", "src/bakery/defaults.py"),
    Input("most_ranks", 256, "of a chain", "src/bakery/repo/plan/chains.py"),
    Input("beside_bytes", 42_000, "bytes beside weights", MEASURED),
    Input("data_bytes", 67_000, "bytes, 204 answers", MEASURED),
    Input("objects", 4, "a bake", MEASURED),
    Input("data_objects", 7, "a bake, with --data", MEASURED),
    Input("manifests", 1, "a bake", MEASURED),
    Input("data_manifests", 2, "a bake, with --data", MEASURED),
    Input("push_calls", 14, "calls of the API", MEASURED),
    Input("push_commits", 2, "commits a push", MEASURED),
    Input("pull_calls", 11, "calls of the API", MEASURED),
    Input("pull_files", 5, "files resolved a pull", MEASURED),
)
_MACHINES = (
    Input("cpu_tokens", 40, "tokens of those answers", "benchmarks/quality/cases.py"),
    Input("sampled_at_once", costs.ROWS, "answers on a GPU", "src/bakery/costs.py"),
    Input("load_s", costs.LOAD_S, "s, libraries", "src/bakery/costs.py"),
    Input("loaded", costs.LOADED, "bytes of weights a s", "src/bakery/costs.py"),
    Input("first_sample_s", costs.FIRST_SAMPLE_S, "s", "src/bakery/costs.py"),
    Input("first_step_s", costs.FIRST_STEP_S, "s", "src/bakery/costs.py"),
    Input("token_s", costs.TOKEN_S, "s a layer and token", "src/bakery/costs.py"),
    Input("step_s", costs.STEP_S, "s a layer and batch", "src/bakery/costs.py"),
    Input("gpu_flops", 989e12, "a s, H100 (data sheet)", ASSUMED),
    Input("gpu_share", 0.3, "of that, in large products", ASSUMED),
)
_PRICES = (
    Input("gpu_hour", 4.0, "$ an hour and GPU (H100)", ASSUMED),
    Input("cpu_hour", 0.05, "$ an hour and core", ASSUMED),
    Input("tb_month", 23.0, "$ a TB and month", ASSUMED),
    Input("egress_tb", 90.0, "$ a TB out of the bucket", ASSUMED),
)


@dataclass(frozen=True, slots=True)
class Inputs:
    """All of them, by name."""

    all: Mapping[str, Input]

    def __getitem__(self, name: str) -> float:
        """Return the value of one."""
        return self.all[name].value

    def changed(self, **values: float) -> Inputs:
        """Return them with other values, which are then assumed."""
        unknown = sorted(set(values) - set(self.all))
        if unknown:
            raise KeyError(f"no input is called {', '.join(unknown)}")
        new = {n: replace(self.all[n], value=v, source="given") for n, v in values.items()}
        return Inputs({**self.all, **new})


def read(results: Path = RESULTS) -> Inputs:
    """Return all inputs; measured rates from the result files of this checkout."""
    found = [*_LOAD, *_BAKE, *_cpu(results / "quality.jsonl"), *_MACHINES, *_PRICES]
    found += _gpu(results / "gpu.json")
    return Inputs({one.name: one for one in found})


@cache
def _cpu(path: Path) -> tuple[Input, ...]:
    """Return CPU seconds of a bake on SmolLM2-135M: a persona, learnt with bgit's defaults."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    row = next(r for r in rows if (r.get("case"), r.get("side")) == ("persona", "ours"))
    at = {name: cpu_s for name, (cpu_s, _) in row["marks"].items()}
    learnt = 48  # benchmarks.quality.cases.TRAINED
    source = "benchmarks/results/quality.jsonl"
    took = (
        ("cpu_start_s", at["three answers looked at"], "CPU s, three answers"),
        ("cpu_answer_s", (at["rollout"] - at["before rollout"]) / learnt, "CPU s an answer"),
        ("cpu_fit_s", at["fitted"] - at["rollout"], "CPU s: first weights"),
        ("cpu_record_s", (at["teacher"] - at["before teacher"]) / learnt, "CPU s an answer"),
        ("cpu_step_s", (at["bake"] - at["before bake"]) / row["steps"], "CPU s a step"),
    )
    return tuple(Input(name, round(value, 3), f"{unit}", source) for name, value, unit in took)


def _gpu(path: Path) -> list[Input]:
    """Return tokens a second of each model on a GPU, where a file has them."""
    if not path.is_file():
        return []
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if report["schema"] != 1 or report["size"] != "full":
        raise SystemExit(f"{path} is no report of a GPU that is read here")
    found = []
    source = f"benchmarks/results/{path.name}"
    for case in report["cases"]:
        name = {"Qwen3-0.6B": "06b", "Qwen3-8B": "8b"}.get(case["what"])
        for one in case.get("found", []) if case["kind"] == "speed" and name else []:
            for what in ("sampling", "training"):
                rate = one[f"{what}_tokens_s"]
                found.append(Input(f"{what}_{name}", rate, f"tokens a s, {what}", source))
    return found
