"""What earlier results of a store took, by their own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.store import results
from bakery.store.store import Store

RUNS_MEASURED = 8
"""The latest results of each kind that rates are taken from."""

ROWS_MEASURED = 64
"""Answers of a result that are read for their length."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What earlier results of a store took, each per unit. None: there is none yet."""

    question_s: float | None
    answer_s: float | None
    answer_tokens: float | None
    answer_bytes: float | None
    pair_s: float | None
    rank_bytes: float | None
    """Bytes of an adapter for each of its ranks."""
    results: int

    @classmethod
    def measured(cls, store: Store, base: str = "") -> Rates:
        """Read the latest results of each kind; of other bases than that of a digest, none."""
        answers, bakes = (_latest(store.root / kind, base) for kind in ("target", "bake"))
        # Questions name no base: where it has answered none, another one wrote them.
        stims = _latest(store.root / "stim", "") if answers or not base else []
        lengths = [n for folder, _ in answers[:1] for n in _lengths(folder / results.TRAJECTORIES)]
        bake_s: list[tuple[float, float]] = []
        ranks: list[tuple[float, float]] = []
        for folder, _ in bakes:
            result = results.seen(folder / results.RESULT) or {}
            training = result.get("training") or {}
            batch = _amount(result, "batch") or _amount(training, "global_batch")
            learnt = _steps(result) * batch
            bake_s.append((_amount(result.get("seconds") or {}, "bake"), learnt))
            size = float(sum(p.stat().st_size for p in folder.glob("*/*.safetensors")))
            ranks.append((size, _amount(training, "r")))
        rows = [
            (float((folder / results.TRAJECTORIES).stat().st_size), _amount(done, "count"))
            for folder, done in answers
            if (folder / results.TRAJECTORIES).is_file()
        ]
        return cls(
            _ratio([(_amount(d, "seconds"), _amount(d, "count")) for _, d in stims]),
            _ratio([(_amount(d, "seconds"), _amount(d, "count")) for _, d in answers]),
            sum(lengths) / len(lengths) if lengths else None,
            _ratio(rows),
            _ratio(bake_s),
            _ratio(ranks),
            len(stims) + len(answers) + len(bakes),
        )


def _steps(result: Mapping[str, Any]) -> float:
    """Return how many steps were trained: with rounds, the kept one need not be the last."""
    until = result.get("until")
    rounds = until.get("rounds") if isinstance(until, Mapping) else None
    last = rounds[-1] if isinstance(rounds, list) and rounds else None
    return _amount(last if isinstance(last, Mapping) else result, "step")


def _amount(data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _ratio(measured: list[tuple[float, float]]) -> float | None:
    amount, units = (sum(column) for column in zip(*measured, strict=True)) if measured else (0, 0)
    return amount / units if units and amount else None


def _latest(folder: Path, base: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return the complete results of a kind, newest first, with what they say of themselves."""
    found = [(path.stat().st_mtime, path) for path in folder.glob(f"*/{results.DONE}")]
    newest = (path for _, path in sorted(found, reverse=True) if _is_of(path.parent, base))
    return [(path.parent, results.seen(path) or {}) for path in islice(newest, RUNS_MEASURED)]


def _is_of(folder: Path, base: str) -> bool:
    """Tell whether a result may be of a base; one that names none may be of any."""
    named = (results.seen(folder / results.REQUEST) or {}).get("base") if base else None
    return not isinstance(named, Mapping) or named.get("digest") == base


def _lengths(path: Path) -> Iterator[int]:
    """Yield how many tokens the first answers of a file have."""
    if not path.is_file():
        return
    try:
        for _, line in islice(json_file.lines(path), ROWS_MEASURED):
            yield len(json_file.parse(line)["response_ids"])
    except (OSError, ValueError, KeyError, TypeError):
        return
