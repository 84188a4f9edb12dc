"""Two processes with gloo give the losses of one with the same global batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.models import random_model

ROOT = Path(__file__).parents[2]
SHAPES = ("pairs", "prompts", "own", "unrecorded", "uneven")
SCRIPT = """
import gc, json, sys
from pathlib import Path
import torch.distributed as dist
from tests.support.library import losses, trainer
base, out, batch, *shapes = sys.argv[1:]
prompts = [f"q{i}?" for i in range(8)]
found = {}
for shape in shapes:
    data = [{"prompt": p, **({"response": p * 3} if shape == "pairs" else {})} for p in prompts]
    own = {"on_policy": True, "loss_type": "jsd"} if shape == "own" else {}
    if shape == "unrecorded":
        own = {"teacher_record_gb": 0.0}
    if shape == "uneven":
        data = data[:7]
    made = trainer(Path(base), Path(out, shape), data, evaluation=data[:3], eval_strategy="epoch",
                   per_device_train_batch_size=int(batch), use_cpu=True, **own)
    made.train()
    evals = [row["eval_loss"] for row in made.state.log_history if "eval_loss" in row]
    found[shape] = [losses(made), evals]
if made.args.process_index == 0:
    Path(out, "losses.json").write_text(json.dumps(found))
# Threads of a group that outlive it can abort a process that ends: see `distil.run`.
group = dist.group.WORLD
made.end()
del made
gc.collect()
"""

Losses = dict[str, list[list[float]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Losses, Losses]:
    """The losses of every shape of data, by one process and by two."""
    folder = tmp_path_factory.mktemp("processes")
    random_model(folder / "model")
    (folder / "script.py").write_text(SCRIPT)
    several = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    return run(folder, 4, "one"), run(folder, 2, "two", *several)


def run(folder: Path, batch: int, out: str, *launcher: str) -> Losses:
    given = [str(folder / "model"), str(folder / out), str(batch), *SHAPES]
    done = subprocess.run(
        [sys.executable, *launcher, str(folder / "script.py"), *given],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: Losses = json.loads((folder / out / "losses.json").read_text())
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_two_processes_train_as_one(shape: str, made: tuple[Losses, Losses]) -> None:
    one, two = (losses[shape] for losses in made)
    assert one[0] == pytest.approx(two[0], rel=1e-3)
    assert one[1] == pytest.approx(two[1], rel=1e-3)
    assert len(one[0]) == 4
    assert one[0][-1] > 0


def test_two_processes_without_a_record_train_as_one_with_it(made: tuple[Losses, Losses]) -> None:
    one, two = made
    assert one["prompts"][0] == pytest.approx(two["unrecorded"][0], rel=1e-3)
    assert one["prompts"][1] == pytest.approx(two["unrecorded"][1], rel=1e-3)
