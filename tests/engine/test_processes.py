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
SCRIPT = """
import json, sys
from pathlib import Path
from tests.support.library import losses, trainer
base, out, shape, batch, limit = sys.argv[1:]
prompts = [f"q{i}?" for i in range(8)]
data = [{"prompt": p, "response": p * 3} if shape == "pairs" else {"prompt": p} for p in prompts]
own = {"on_policy": True, "loss_type": "jsd"} if shape == "own" else {}
made = trainer(Path(base), Path(out), data, evaluation=data[:3], eval_strategy="epoch",
               per_device_train_batch_size=int(batch), use_cpu=True,
               teacher_record_gb=float(limit), **own)
made.train()
if made.args.process_index == 0:
    evals = [row["eval_loss"] for row in made.state.log_history if "eval_loss" in row]
    Path(out, "losses.json").write_text(json.dumps([losses(made), evals]))
"""


def run(
    folder: Path, shape: str, batch: int, processes: int, limit: float = 16.0
) -> list[list[float]]:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    out = folder / f"{shape}-{processes}"
    launcher = (
        [sys.executable]
        if processes == 1
        else [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={processes}",
        ]
    )
    done = subprocess.run(
        [*launcher, str(script), str(folder / "model"), str(out), shape, str(batch), str(limit)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[list[float]] = json.loads((out / "losses.json").read_text())
    return found


@pytest.mark.parametrize("shape", ["pairs", "prompts", "own"])
def test_two_processes_train_as_one(shape: str, tmp_path: Path) -> None:
    random_model(tmp_path / "model")
    one, two = run(tmp_path, shape, 4, 1), run(tmp_path, shape, 2, 2)
    assert one[0] == pytest.approx(two[0], rel=1e-3)
    assert one[1] == pytest.approx(two[1], rel=1e-3)
    assert len(one[0]) == 4
    assert one[0][-1] > 0


def test_two_processes_without_a_record_train_as_one_with_it(tmp_path: Path) -> None:
    random_model(tmp_path / "model")
    one, two = run(tmp_path, "prompts", 4, 1), run(tmp_path, "prompts", 2, 2, limit=0.0)
    assert one[0] == pytest.approx(two[0], rel=1e-3)
    assert one[1] == pytest.approx(two[1], rel=1e-3)
