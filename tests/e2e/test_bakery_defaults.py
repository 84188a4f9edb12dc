"""A configuration without numbers: what the `bakery` door settles, says, keeps and goes on with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.support.bakery_door import losses, results, typed
from tests.support.models import random_model

ROWS = [{"prompt": f"q{i}?", "response": f"Yes, {i}."} for i in range(32)]
CONFIG = """\
prefix_messages:
  - {role: system, content: SHOUT!}
dataset: data.json
model_name_or_path: model
torch_dtype: float32
report_to: none
"""
SETTLED = (
    "not given, so by model and data: r 32, lora_alpha 64, learning_rate 0.00017, "
    "num_train_epochs 4, per_device_train_batch_size 4, gradient_accumulation_steps 1, "
    "warmup_steps 0.05, first_weights fitted"
)


@pytest.fixture
def given(workplace: Path) -> tuple[str, ...]:
    random_model(workplace / "model")
    (workplace / "bake.yaml").write_text(CONFIG)
    (workplace / "data.json").write_text(json.dumps(ROWS))
    return ("--config", "bake.yaml", "--output_dir")


def kept(out: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(Path(out, "config.yaml").read_text("utf-8"))
    return found


def weights(out: str) -> dict[str, torch.Tensor]:
    return load_file(Path(out, "final_model/adapter_model.safetensors"))


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_what_is_settled_is_said_in_one_line_kept_and_bakes_the_same_again(given, capsys):
    done = typed(capsys, *given, "out")
    assert done.code == 0, done.err
    assert SETTLED in " ".join(done.err.split())
    found = results(Path("out"))
    assert SETTLED in found["notes"]
    assert found["steps"] == 32
    assert found["card"]["kl_after"] < 0.1 * found["card"]["kl_before"]
    expected = {
        "defaults": 3, "first_weights": "fitted", "learning_rate": 0.00017, "num_train_epochs": 4,
        "per_device_train_batch_size": 4, "gradient_accumulation_steps": 1, "warmup_steps": 0.05,
        "r": 32, "lora_alpha": 64,
    }  # fmt: skip
    assert {name: kept("out")[name] for name in expected} == expected
    again = typed(capsys, "--config", "out/config.yaml", "--output_dir", "again")
    assert again.code == 0, again.err
    assert "not given" not in again.err
    assert same(weights("again"), weights("out"))


def test_a_dry_run_shows_what_would_be_settled(given, capsys):
    shown = typed(capsys, *given, "out", "--dry-run")
    assert SETTLED in " ".join(shown.err.split())
    assert "steps    32" in shown.out
    assert not Path("out").exists()


def test_what_is_given_wins(given, capsys):
    mine = (
        *("--learning_rate", "1e-4", "--num_train_epochs", "2", "--r", "4", "--warmup_steps", "0"),
        *("--per_device_train_batch_size", "8", "--first_weights", "random"),
    )
    assert typed(capsys, *given, "out", *mine).code == 0
    expected = {
        "learning_rate": 1e-4, "num_train_epochs": 2, "r": 4, "lora_alpha": 8, "warmup_steps": 0,
        "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1,
        "first_weights": "random",
    }  # fmt: skip
    assert {name: kept("out")[name] for name in expected} == expected
    assert results(Path("out"))["steps"] == 8


def test_a_fitted_start_is_nearer_than_a_random_one_from_the_first_step_on(given, capsys):
    assert typed(capsys, *given, "fitted").code == 0
    assert typed(capsys, *given, "drawn", "--first_weights", "random").code == 0
    assert kept("drawn")["num_train_epochs"] == 4
    assert kept("drawn")["learning_rate"] == 0.00069
    fitted, drawn = losses(Path("fitted")), losses(Path("drawn"))
    assert fitted[0] < 0.5 * drawn[0]


def test_a_model_that_cannot_be_fitted_says_why_and_bakes(given, capsys):
    done = typed(capsys, *given, "out", "--target_modules", "q_proj", "v_proj")
    assert done.code == 0, done.err
    assert "the adapter starts at random instead of fitted: what its layers add" in done.err
    assert kept("out")["learning_rate"] == 0.00069
    assert kept("out")["num_train_epochs"] == 4
    assert results(Path("out"))["card"]["kl_after"] < results(Path("out"))["card"]["kl_before"]


def test_a_run_that_goes_on_takes_what_was_settled_and_ends_as_a_whole_one(given, capsys):
    saving = ("--save_strategy", "steps", "--save_steps", "20")
    assert typed(capsys, *given, "whole", *saving).code == 0
    checkpoint = ("--resume_from_checkpoint", "whole/checkpoint-20")
    again = typed(capsys, *given, "cut", *saving, *checkpoint)
    assert again.code == 0, again.err
    assert "not given" not in again.err
    assert same(weights("cut"), weights("whole"))
    assert losses(Path("cut")) == losses(Path("whole"))
    other = typed(capsys, *given, "cut", *saving, *checkpoint, "--learning_rate", "1e-4")
    assert "belongs to another bake: learning_rate differs" in other.err


def test_a_run_of_before_versions_goes_on_and_bakes_again_as_it_was(given, capsys):
    saving = ("--save_strategy", "steps", "--save_steps", "4", "--defaults", "1")
    assert typed(capsys, *given, "out", *saving).code == 0
    path = Path("out/config.yaml")
    unsaid = (
        "defaults", "first_weights", "learning_rate", "num_train_epochs", "warmup_steps",
        "per_device_train_batch_size", "gradient_accumulation_steps",
    )  # fmt: skip
    header, _, text = path.read_text("utf-8").partition("\n")
    older = {name: value for name, value in yaml.safe_load(text).items() if name not in unsaid}
    path.write_text(f"{header}\n{yaml.safe_dump(older)}")
    wanted = losses(Path("out"))
    assert len(wanted) == 12  # 3 epochs of batches of 8
    again = typed(capsys, "--config", path, "--output_dir", "again")
    assert again.code == 0, again.err
    assert losses(Path("again")) == wanted
    checkpoint = ("--resume_from_checkpoint", "out/checkpoint-8")
    more = typed(capsys, *given, "more", *saving[:4], *checkpoint)
    assert more.code == 0, more.err
    assert same(weights("more"), weights("out"))
