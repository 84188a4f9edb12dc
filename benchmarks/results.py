"""Result files: a first line that describes machine and code, then a line for each measurement.

Lines are appended as they come, so that a run that was stopped goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "results"
PUBLISHED = FOLDER / "latest.jsonl"
PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "numpy")

Row = dict[str, Any]


def description() -> Row:
    """Return what the figures depend on: processor, memory, versions, and the engine's code."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in PACKAGES},
        "code": _code(),
    }


def append(path: Path, row: Row) -> None:
    """Write one line, at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
        file.flush()


def read(path: Path) -> tuple[Row, list[Row]]:
    """Return the description and the measurements; a torn last line is dropped."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    if not rows:
        raise SystemExit(f"{path} holds no result")
    return rows[0], rows[1:]


def newest() -> Path:
    """Return the result file of `benchmarks.run` written last, else the published one."""
    found = [path for path in FOLDER.glob("[0-9]*.jsonl") if path != PUBLISHED]
    return max(found, key=lambda path: path.stat().st_mtime, default=PUBLISHED)


@dataclass(frozen=True, slots=True)
class Figures:
    """All repeats of one side of one case."""

    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    grown_mb: list[float] = field(default_factory=list)
    tokens: int = 0
    numerics: str = ""
    estimated: bool = False

    @property
    def cpu(self) -> float:
        """Median CPU seconds."""
        return statistics.median(self.cpu_s)

    @property
    def memory(self) -> float:
        """Median growth of the peak, MB."""
        return statistics.median(self.grown_mb)

    @property
    def spread(self) -> float:
        """How far the CPU seconds of the repeats lie apart, over their median."""
        return (max(self.cpu_s) - min(self.cpu_s)) / self.cpu


def figures(rows: Sequence[Row]) -> dict[tuple[str, str], Figures]:
    """Return (case, side) → all its repeats; failed ones do not count."""
    grouped: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if "error" not in row:
            grouped[row["case"], row["side"]].append(row)
    return {key: _figures(found) for key, found in grouped.items()}


def _figures(rows: Sequence[Row]) -> Figures:
    last = rows[-1]
    return Figures(
        [row["cpu_s"] for row in rows],
        [row["wall_s"] for row in rows],
        [row["grown_mb"] for row in rows],
        last["tokens"],
        ", ".join(f"{k} {v}" for k, v in last.get("numerics", {}).items()),
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "-"


def _code() -> str:
    """Return a digest of the engine and the benchmarks: figures of two versions never mix."""
    spec = importlib.util.find_spec("bakery")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    digest = hashlib.sha256()
    for path in sorted([*package.rglob("*.py"), *Path(__file__).parent.glob("*.py")]):
        if path.name not in ("report.py", "chart.py", "goals.py"):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
