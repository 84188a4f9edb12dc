"""The table of all results: what each bake closed, what it answers, and what it took."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, stdev
from typing import Any

Row = dict[str, Any]

STUDENT_T = {3: 4.30, 4: 3.18, 5: 2.78}
"""Of 95 % intervals, by how many seeds there are."""


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    names = list(dict.fromkeys(row["bake"] for row in rows))
    print(f"\n{'':<28}" + "".join(f"{name:>13}" for name in names))
    print(f"{'seeds':<28}" + "".join(f"{len(_of(rows, name)):>13}" for name in names))
    for title, figure in _FIGURES:
        cells = [said([figure(row) for row in _of(rows, name)]) for name in names]
        print(f"{title:<28}" + "".join(f"{cell:>13}" for cell in cells))


def said(values: Iterable[float | None]) -> str:
    """Return a mean with half of its 95 % interval; of two values, which have none, both."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1 and isinstance(known[0], int):
        return str(known[0])
    mean = fmean(known)
    digits = 0 if mean >= 100 else 1 if mean >= 10 else 3 if mean < 1 else 2
    if len(known) < 2 or not (spread := stdev(known)):
        return f"{mean:.{digits}f}"
    if len(known) == 2:
        return f"{min(known):.{digits}f}-{max(known):.{digits}f}"
    half = STUDENT_T.get(len(known), 2.0) * spread / math.sqrt(len(known))
    return f"{mean:.{digits}f} ±{half:.{digits}f}"


def _of(rows: Sequence[Row], name: str) -> list[Row]:
    return [row for row in rows if row["bake"] == name]


def _card(key: str, times: float = 1.0) -> Callable[[Row], float | None]:
    return lambda row: None if row["card"].get(key) is None else times * row["card"][key]


def _share(check: str, key: str, of: str = "asked") -> Callable[[Row], float | None]:
    def figure(row: Row) -> float | None:
        found = row["checks"].get(check)
        return None if found is None or not found[of] else 100 * found[key] / found[of]

    return figure


def _looping(key: str) -> Callable[[Row], float | None]:
    return lambda row: sum(found[key] for found in row["checks"].values())


def _used(stage: str, key: str) -> Callable[[Row], float | None]:
    return lambda row: row["stages"][stage][key]


def _all(row: Row) -> float:
    return sum(stage["cpu_s"] for stage in row["stages"].values())


_FIGURES: Sequence[tuple[str, Callable[[Row], float | None]]] = [
    ("KL before, nats per token", _card("kl_before")),
    ("KL after", _card("kl_after")),
    ("gap closed, %", _card("gap_closed", 100)),
    ("same first choice, %", _card("top1_agreement", 100)),
    ("persona prompted, %", _share("persona", "prompted_right")),
    ("persona baked, %", _share("persona", "baked_right")),
    ("rule prompted, %", _share("rule", "prompted_right")),
    ("rule baked, %", _share("rule", "baked_right")),
    ("facts prompted, %", _share("facts", "prompted_right")),
    ("facts baked, %", _share("facts", "baked_right")),
    ("  of what prompted knows, %", _share("facts", "both_right", "prompted_right")),
    ("answers that loop, prompted", _looping("prompted_loops")),
    ("answers that loop, baked", _looping("baked_loops")),
    ("stim, CPU s", _used("stim", "cpu_s")),
    ("rollout, CPU s", _used("rollout", "cpu_s")),
    ("bake, CPU s", _used("bake", "cpu_s")),
    ("all, CPU s", _all),
    ("stim, MB", _used("stim", "peak_mb")),
    ("rollout, MB", _used("rollout", "peak_mb")),
    ("bake, MB", _used("bake", "peak_mb")),
]
