"""Hold a GPU to the CPU, and measure it: `python -m benchmarks.gpu [--model PATH]`.

First whether losses in bf16 are what the CPU says in fp32, then kernels of others against ours,
then sampling and training of models shaped like Qwen3-0.6B and Qwen3-8B. It ends within eight
minutes, writes one JSON file, prints one table, and exits with 1 where a loss is off or a case of
ours has failed. Without a GPU it does the same at a small size in a minute, which says nothing of
speed: it only keeps this program right.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from bakery.records import write_atomic
from benchmarks import results
from benchmarks.gpu import device as on
from benchmarks.gpu import running, table
from benchmarks.gpu.cases import FULL, GIVEN, LIMIT_S, SIZES, SMALL, Size, cases
from benchmarks.results import FOLDER, ROOT

SCHEMA = 1
PUBLISHED = FOLDER / "gpu.json"
"""What a card has said, kept: `benchmarks.gpu` of another day does not write over it."""
MORE_PACKAGES = ("triton", "liger-kernel")


def main(given: list[str] | None = None) -> int:
    """Run all cases, or one as this process; return the exit code."""
    asked = _arguments(given)
    device = on.here()
    size = SIZES[asked.size] if asked.size else FULL if device == "cuda" else SMALL
    if asked.case:
        _one(asked.case, size, device, asked.model)
        return 0
    out: Path = asked.out or _place(device, size)
    report = run(size, device, asked.model, out, only=asked.only)
    print("\n".join(table.lines(report)))
    print(f"\nwritten: {out}")
    return 0 if report["passed"] else 1


def run(
    size: Size, device: str, model: str | None, out: Path, *, only: list[str] | None = None
) -> dict[str, Any]:
    """Run all cases one after the other; the file is there, whole, after each of them."""
    begin = time.monotonic()
    report = _begun(size, device, model)
    worker = running.worker(size.name, model)
    chosen = [c for c in cases(size, given=bool(model)) if not only or c.kind in only]
    for case in chosen:
        left_s = LIMIT_S - (time.monotonic() - begin)
        row = running.of(case, worker, device=device, left_s=left_s)
        for found in row.get("found", []):
            report["machine"] |= found.pop("machine", {})
        report["passed"] &= not running.has_failed(case, row)
        report["cases"].append(row)
        report["seconds"] = round(time.monotonic() - begin, 1)
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, json.dumps(report, indent=1) + "\n")
        print(f"{case.name:<32}{row['status']:<10}{row.get('why', '')}"[:79], file=sys.stderr)
    return report


def _begun(size: Size, device: str, model: str | None) -> dict[str, Any]:
    """Return a report without a case."""
    about = results.description()
    versions = about.pop("versions")
    versions |= {name: results.version(name) for name in MORE_PACKAGES}
    return {
        "schema": SCHEMA,
        "size": size.name,
        "device": device,
        "model": model,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": 0.0,
        "passed": True,
        "machine": about,
        "versions": versions,
        "cases": [],
    }


def _one(name: str, size: Size, device: str, model: str | None) -> None:
    """Run one case in this process, and print each result as a line of JSON, at once."""
    # Here: a kernel of others is measured without transformers and PEFT.
    kind, _, what = name.partition(":")
    machine = {"machine": on.about(device)}
    if kind == "loss":
        from benchmarks.gpu import kernels

        shape = list(size.shapes.values())[-1]
        for row in kernels.measure(what, shape, size, device):
            print(json.dumps(machine | row), flush=True)
        return
    from benchmarks.gpu import agreement, speed, subjects

    workload = size.agreement if kind == "agreement" else size.speed
    if what == GIVEN:
        assert model is not None  # no such case is made without one
        subject = subjects.given(model, workload)
    else:
        shapes = size.agreeing if kind == "agreement" else size.shapes
        subject = subjects.random(shapes[what], workload, device)
    if kind == "agreement":
        found = agreement.measure(subject, workload, device)
    else:
        found = speed.measure(subject, size, device)
    print(json.dumps(machine | found), flush=True)


def _place(device: str, size: Size) -> Path:
    """Return where a report goes where nobody says; what a CPU says of it is kept nowhere."""
    if device != "cuda" or size is SMALL:
        return ROOT / "build" / "gpu-small.json"
    return FOLDER / f"gpu-{time.strftime('%Y%m%d-%H%M%S')}.json"


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="a real one, too: its folder, GGUF file, or name")
    parser.add_argument("--out", type=Path, help="the JSON file")
    parser.add_argument("--only", nargs="+", choices=("agreement", "loss", "speed"))
    parser.add_argument(
        "--small", dest="size", action="store_const", const="small",
        help="a size for a CPU; there it is the usual one",
    )  # fmt: skip
    parser.add_argument("--size", choices=SIZES, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args(given)


if __name__ == "__main__":
    sys.exit(main())
