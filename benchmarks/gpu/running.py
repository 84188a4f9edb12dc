"""One process a case, until it has ended or its time is up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.gpu import kernels
from benchmarks.gpu.cases import Case
from benchmarks.meter import ONE_THREAD
from benchmarks.results import ROOT

ONE_GPU = {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]}
"""A trainer that sees several puts its model on all of them."""
QUIET = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}

OK, OFF, CUT, FAILED, ABSENT = "ok", "off", "cut", "failed", "not here"
"""What became of a case."""

Row = dict[str, Any]


def of(case: Case, worker: Sequence[str], *, device: str, left_s: float) -> Row:
    """Run a case within its budget, and within what is left of all; return its row.

    `worker` is the command line of this package in another process.
    """
    row: Row = {"case": case.name, "kind": case.kind, "what": case.what}
    absent = kernels.missing(case.what, device) if case.kind == "loss" else None
    if absent:
        return row | {"status": ABSENT, "why": absent}
    budget_s = min(case.budget_s, left_s)
    if budget_s <= 0:
        return row | {"status": CUT, "why": "no time is left", "found": []}
    begin = time.monotonic()
    code, out, err = _ended([*worker, "--case", case.name], budget_s, device)
    row |= {"budget_s": budget_s, "seconds": round(time.monotonic() - begin, 2)}
    row["found"] = found = _found(out)
    if code is None:
        return row | {"status": CUT, "why": f"cut after {budget_s:.0f} s"}
    if code:
        said = [line for line in err.splitlines() if line.strip()]
        return row | {"status": FAILED, "why": said[-1][:300] if said else f"it ended with {code}"}
    if any("error" in one for one in found):
        return row | {"status": FAILED, "why": next(o["error"] for o in found if "error" in o)}
    return row | {"status": OFF if any(one.get("is_off") for one in found) else OK}


def has_failed(case: Case, row: Row) -> bool:
    """Tell whether a run is no success for what became of a case.

    A check that was not made to its end is none; a speed that was not measured is no fault.
    """
    if not case.is_needed or row["status"] in (OK, ABSENT):
        return False
    return row["status"] != CUT or case.kind != "speed"


def _ended(command: Sequence[str], budget_s: float, device: str) -> tuple[int | None, str, str]:
    """Return exit code and output of a command; no code where it was ended by us."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | QUIET | (ONE_GPU if device == "cuda" else ONE_THREAD),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # compilers that it starts end with it
    )
    try:
        out, err = process.communicate(timeout=budget_s)
        code: int | None = process.returncode
    except subprocess.TimeoutExpired:
        code = None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    if code is None:
        out, err = process.communicate()
    return code, out, err


def _found(out: str) -> list[Row]:
    """Return the results among the lines of an output; a torn one is none."""
    found = []
    for line in out.splitlines():
        if line.startswith('{"'):
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:
                continue
    return found


def worker(size: str, model: str | None) -> list[str]:
    """Return the command that runs one case in another process."""
    given = ["--model", model] if model else []
    return [sys.executable, "-m", "benchmarks.gpu", "--size", size, *given]
