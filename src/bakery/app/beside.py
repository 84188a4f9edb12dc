"""What lies beside a bake's weights and no digest names: figures, what was asked, evaluations.

Of a stranger's store it is read as data and written anew; what cannot be read stays behind.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.records import write_atomic
from bakery.store.results import ASKED, EVALS, METRICS, PROBES, TESTED

BESIDE = (METRICS, ASKED, PROBES, EVALS, TESTED)

_MOST = 256 * json_file.MB


def take(weights: Path, draft: Path, bake_id: str) -> None:
    """Copy what lies beside weights, or above them, into a draft, where it is of this bake."""
    for name in BESIDE:
        for folder in (weights.parent, weights.parent.parent):
            source = folder / name
            if source.is_symlink() or not source.is_file():
                continue
            with suppress(ValueError):
                write_atomic(draft / name, _read(source, bake_id))
                break


def move_in(draft: Path, bake: Path) -> None:
    """Put it into the folder of a bake; what was found out there stays."""
    for name in BESIDE:
        if not (draft / name).is_file():
            continue
        if name == METRICS or not (bake / name).exists():
            bake.mkdir(parents=True, exist_ok=True)
            (draft / name).replace(bake / name)
        else:
            (draft / name).unlink()


def _read(path: Path, bake_id: str) -> str:
    """Return what a file says as it is written here; ValueError where it is something else."""
    if path.suffix == ".jsonl":
        found = json_file.lines(path, most=_MOST)
        rows = [json_file.parse(line, strict=False) for _, line in found]
        return "".join(_dumped(row) for row in rows if isinstance(row, dict))
    said = json_file.load_object(path)
    if path.name == PROBES and said.get("bake_id") != bake_id:
        raise ValueError(f"{path} is another bake's")
    return _dumped(said)


def _dumped(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False) + "\n"
