"""Evaluations beside the bake that they are of: one file, an entry for each way of measuring.

What is measured again in the same way takes the place of what it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakery.evals.report import SCHEMA, EvalReport
from bakery.identity import short_id
from bakery.records import write_atomic
from bakery.store import results


def key(step: int, suite: str, inputs: Mapping[str, str]) -> str:
    """Return what an evaluation of a step of a bake is kept by."""
    return f"{step}/{suite}/{short_id(dict(inputs))}"


def found(bake: Path, step: int, suite: str, inputs: Mapping[str, str]) -> EvalReport | None:
    """Return an evaluation that was made in the same way; None: there is none."""
    return _report(_read(bake).get(key(step, suite, inputs)))


def of_step(bake: Path, step: int) -> list[EvalReport]:
    """Return all evaluations of a step of a bake, the latest last."""
    own = [data for name, data in _read(bake).items() if name.startswith(f"{step}/")]
    found = [one for data in own if (one := _report(data)) is not None]
    return sorted(found, key=lambda one: one.finished)


def put(bake: Path, step: int, report: EvalReport) -> None:
    """Keep an evaluation. The caller holds the folder's lock."""
    data = report.as_data()
    own = {name: data[name] for name in data if name not in ("against", "differences")}
    rows = {**_read(bake), key(step, report.suite, report.inputs): own}
    text = json.dumps({"schema": SCHEMA, "results": rows}, indent=1, ensure_ascii=False)
    write_atomic(bake / results.EVALS, text + "\n")


def _report(data: Any) -> EvalReport | None:
    """Return an entry; None: there is none, or a damaged one, which is measured again."""
    try:
        return EvalReport.from_data(data) if isinstance(data, dict) else None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):  # of another shape
        return None


def _read(bake: Path) -> dict[str, Any]:
    """Return what is kept; what is damaged counts as nothing, and is measured again."""
    rows = (results.seen(bake / results.EVALS) or {}).get("results")
    return dict(rows) if isinstance(rows, dict) else {}
