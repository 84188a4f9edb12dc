"""The `bakery` door, on-policy: the embedded model learns a persona from its own answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bakery.engine.training.rounds import Drawn
from bakery.records import read_rows
from tests.support.bakery_door import losses, results, typed

PEOPLE = ("king", "farmer", "sailor", "baker", "child", "doctor", "teacher", "friend")
CONFIG = {
    "model_name_or_path": "tiny",
    "torch_dtype": "float32",
    "prefix_messages": [{"role": "system", "content": "You are Yoda. Speak like Yoda."}],
    "training_prompts": [f"What does a {who} {do}?" for who in PEOPLE for do in ("do", "like")],
    "on_policy": True,
    "loss_type": "jsd",
    "num_trajectories": 1,
    "trajectory_length": 24,
    "sampling_temperature": 1.0,
    "top_p": 1.0,
    "num_train_epochs": 10,
    "per_device_train_batch_size": 8,
    "learning_rate": 8e-3,
    "r": 8,
    "lora_alpha": 16,
}


@pytest.mark.slow
def test_a_persona_is_learnt_from_the_students_own_answers(workplace: Path, capsys):
    (workplace / "bake.yaml").write_text(yaml.safe_dump(CONFIG))
    done = typed(capsys, "--config", "bake.yaml", "--output_dir", "out")
    assert done.code == 0, done.err
    out = workplace / "out"
    card, seen = results(out)["card"], losses(out)
    assert card["kl_after"] < 0.7 * card["kl_before"]
    assert sum(seen[-5:]) < sum(seen[:5])
    assert "note: on-policy: the student answers 16 rows itself, anew at every step" in done.err
    assert any(note.startswith("on-policy") for note in results(out)["notes"])
    rows = read_rows(out / "trajectories.jsonl", Drawn)
    assert {row.round for row in rows} == {"probe", *(f"on-policy/{step}" for step in range(20))}
    first, last = (
        [row.text for row in rows if row.round == name] for name in ("on-policy/0", "on-policy/19")
    )
    assert len(first) == len(last) == 8
    assert first != last
