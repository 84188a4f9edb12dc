"""One measurement in a process of its own: `python -m benchmarks.worker CASE SIDE`.

The last line of the output is the result as JSON; what the trainers print stands before it.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile

import torch

FIRST_USED_LATE = ("accelerate.utils", "torch._dynamo", "transformers.generation")
"""Trainers import these when they need them: paid once for each process, not for each bake."""


def main() -> None:
    """Measure one side of one case, on one thread."""
    torch.set_num_threads(1)
    for module in FIRST_USED_LATE:
        importlib.import_module(module)
    from benchmarks.cases import CASES, GRID
    from benchmarks.sides import SIDES

    name, side = sys.argv[1:]
    case = next(case for case in (*CASES, *GRID) if case.name == name)
    with tempfile.TemporaryDirectory() as folder:
        outcome = SIDES[case.kind][side](case.workload, folder)
    print(json.dumps(outcome | {"threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()
