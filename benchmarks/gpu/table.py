"""What a report says, for people: at most 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.gpu.running import ABSENT, CUT, FAILED

Row = dict[str, Any]

TITLES = {
    "ours": "bakery",
    "plain": "all logits, autograd",
    "compiled": "the same, torch.compile",
    "liger": "Liger, fused linear JSD",
    "triton": "one kernel of Triton",
}
LOSSES = {"forward_kl": "forward KL", "reverse_kl": "reverse KL", "jsd": "JSD"}
WIDTH = 80


def lines(report: Row) -> list[str]:
    """Return the whole table."""
    of: dict[str, list[Row]] = {kind: [] for kind in ("agreement", "loss", "speed")}
    for row in report["cases"]:
        of[row["kind"]].append(row)
    parts = [
        wrapped(machine(report)),
        agreement(of["agreement"], report),
        losses(of["loss"]),
        speed(of["speed"], report),
        [verdict(report)],
    ]
    return [line for part in parts if part for line in ["", *part]][1:]


def machine(report: Row) -> str:
    """Say what it was measured on."""
    at, versions = report["machine"], report["versions"]
    memory = f", {at['memory_gb']:g} GB" if at.get("device", "cpu") != "cpu" else ""
    name = at["processor"] if report["device"] == "cpu" else at.get("device", "?")
    said = ", ".join(f"{k} {v}" for k, v in versions.items() if v != "-")
    cuda = f"; CUDA {at['cuda']}" if at.get("cuda") else ""
    small = "" if report["size"] == "full" else " A small size: its times say nothing of a GPU."
    return f"{name}{memory}{cuda}; {said}; {report['started'][:10]}.{small}"


def agreement(rows: Sequence[Row], report: Row) -> list[str]:
    """How far losses in bf16 are from the CPU's in fp32."""
    if not rows:
        return []
    out = [
        f"{'bf16 here, fp32 on the CPU':<28}{'KL':>8}{'loss off':>10}{'allowed':>9}"
        f"{'grad. off':>11}{'allowed':>9}"
    ]
    for row in rows:
        name = _name(row, report)
        out += _unmeasured(row, name)
        for one in row.get("found", []):
            out.append(
                f"{name:<28}{one['loss_cpu_fp32']:>8.3f}{_share(one['loss_off']):>10}"
                f"{_share(one['loss_allowed']):>9}{_share(one['gradient_off']):>11}"
                f"{_share(one['gradient_allowed']):>9}{_mark(one)}"
            )
    return out


def losses(rows: Sequence[Row]) -> list[str]:
    """A loss with its gradient: how far it is off, its time and memory, and both over ours."""
    if not rows:
        return []
    ours = {
        one["loss"]: one for row in rows if row["what"] == "ours" for one in row.get("found", [])
    }
    sizes = next((one for one in ours.values() if "positions" in one), None)
    at = (
        f" (N {sizes['positions']:,}, D {sizes['hidden']:,}, V {sizes['vocabulary']:,})"
        if sizes
        else ""
    )
    out = [f"one loss with its gradient, bf16{at}"]
    head = f"{'off':>9}{'allowed':>9}{'ms':>9}{'/ ours':>8}{'MB':>9}{'/ ours':>8}"
    names = dict.fromkeys(one["loss"] for row in rows for one in row.get("found", []))
    for kind in names or LOSSES:
        out.append(f"{LOSSES[kind]:<26}{head}")
        for row in rows:
            for one in row.get("found", []):
                if one["loss"] == kind:
                    out.append(_loss(TITLES[row["what"]], one, ours.get(kind)))
    for row in rows:
        out += _unmeasured(row, TITLES[row["what"]])
    return out


def _loss(name: str, one: Row, ours: Row | None) -> str:
    if "value_off" not in one:
        return f"{name:<26}{one['error']}"[:WIDTH]
    off = max(one["value_off"], one["gradient_off"] / 2)
    said = f"{name:<26}{_share(off):>9}{_share(one['value_allowed']):>9}"
    if "seconds" not in one:
        return f"{said}{_mark(one) or '  not timed: ' + one.get('error', '')}"[:WIDTH]
    said += f"{one['seconds'] * 1e3:>9.1f}{_times(one, ours, 'seconds'):>8}"
    return f"{said}{one['grown_mb']:>9,.0f}{_times(one, ours, 'grown_mb'):>8}"


def speed(rows: Sequence[Row], report: Row) -> list[str]:
    """Tokens a second, shares of the matrix peak, and memory."""
    if not rows:
        return []
    peaks = [one["matrix_peak_tflops"] for row in rows for one in row.get("found", [])]
    of = f"shares of {max(peaks):.3g} TFLOP/s" if peaks else "shares of the matrix peak"
    out = [
        f"{'':20}{'sampling':^30}{'training':^30}",
        f"{of:<27.27}{'tokens/s':>9}{'share':>7}{'GB':>7}{'tokens/s':>14}{'share':>7}{'GB':>7}",
    ]
    for row in rows:
        name = _name(row, report)
        out += _unmeasured(row, name)
        for one in row.get("found", []):
            out.append(
                f"{name:<26.26}{one['sampling_tokens_s']:>10,.0f}{one['sampling_share']:>7.1%}"
                f"{one['sampling_gb']:>7.1f}{one['training_tokens_s']:>14,.0f}"
                f"{one['training_share']:>7.1%}{one['training_gb']:>7.1f}"
            )
    return out


def verdict(report: Row) -> str:
    """Say in a line what the exit code says."""
    wrong = [row["case"] for row in report["cases"] if row["status"] not in ("ok", ABSENT)]
    if report["passed"]:
        less = f"; less that was not needed: {', '.join(wrong)}" if wrong else ""
        return f"Every check holds within bf16, in {report['seconds']:.0f} s{less}."[:WIDTH]
    return f"NOT RIGHT, or not shown to be: {', '.join(wrong)}"[:WIDTH]


def wrapped(line: str) -> list[str]:
    """Return a line as several that fit."""
    out = [""]
    for word in line.split():
        if out[-1] and len(out[-1]) + 1 + len(word) > WIDTH:
            out.append(" ")
        out[-1] = f"{out[-1]} {word}" if out[-1] else word
    return out


def _unmeasured(row: Row, name: str) -> Iterator[str]:
    """Yield a line of what is not there, and why."""
    if row["status"] in (ABSENT, CUT, FAILED):
        why = row["why"] if row["status"] == CUT else f"{row['status']}: {row['why']}"
        yield f"{name:<26}{why}"[:WIDTH]


def _name(row: Row, report: Row) -> str:
    if row["what"] != "given":
        return str(row["what"])
    return str(report["model"]).rstrip("/").rpartition("/")[2][:25]


def _mark(one: Row) -> str:
    return "  OFF" if one["is_off"] else ""


def _share(part: float) -> str:
    return f"{part:.2%}"


def _times(one: Row, ours: Row | None, key: str) -> str:
    if ours is None or not ours.get(key) or one is ours:
        return ""
    return f"{one[key] / ours[key]:.2f}x"
