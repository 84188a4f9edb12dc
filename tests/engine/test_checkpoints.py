"""Which checkpoints are gone on from, where some lie there damaged."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bakery.engine.training import checkpoints, metrics

FILES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")


def checkpoint(folder: Path, step: int) -> Path:
    """Write what a trainer leaves after a step."""
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    save_file({"a": torch.ones(8)}, path / "own.safetensors")
    for name in (*FILES, "training_args.bin"):
        torch.save({"state": torch.ones(64)}, path / name)
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step, "x": float("nan")}))
    return path


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def with_nan(path: Path) -> None:
    save_file({"a": torch.tensor([1.0, float("nan")])}, path)


def says(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text, encoding="utf-8") and None


def cut(path: Path) -> None:
    os.truncate(path, 100)


DAMAGE: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "optimizer cut": ("optimizer.pt", cut, "is damaged and left out: optimizer.pt: "),
    "optimizer empty": ("optimizer.pt", says(""), "is damaged and left out: optimizer.pt: "),
    "optimizer changed": ("optimizer.pt", flipped, "is damaged and left out: optimizer.pt: "),
    "scheduler cut": ("scheduler.pt", cut, "is damaged and left out: scheduler.pt: "),
    "chance cut": ("rng_state.pth", cut, "is damaged and left out: rng_state.pth: "),
    "weights cut": ("own.safetensors", cut, "is damaged and left out: own.safetensors: "),
    "weights not finite": ("own.safetensors", with_nan, "own.safetensors: a holds NaN"),
    "weights gone": ("own.safetensors", Path.unlink, "it has no weights"),
    "state gone": ("trainer_state.json", Path.unlink, "it has no trainer_state.json"),
    "state deep": ("trainer_state.json", says("[" * 100_000), "trainer_state.json: it is"),
    "state a list": ("trainer_state.json", says('["global_step"]'), "it is a list"),
    "state of another step": ("trainer_state.json", says('{"global_step": 2}'), "not say its step"),
    "state of text": ("trainer_state.json", says('{"global_step": "4"}'), "not say its step"),
    "optimizer gone": ("optimizer.pt", Path.unlink, "is left out: it has no optimizer.pt"),
    "scheduler gone": ("scheduler.pt", Path.unlink, "is left out: it has no scheduler.pt"),
    "chance gone": ("rng_state.pth", Path.unlink, "is left out: it has no rng_state.pth"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_newest_one_is_named_and_the_one_before_is_taken(
    tmp_path: Path, name: str, damage: Callable[[Path], None], said: str
) -> None:
    checkpoint(tmp_path, 2)
    damage(checkpoint(tmp_path, 4) / name)
    checkpoint(tmp_path, 10).rename(tmp_path / "checkpoint-best")  # not one of the numbered
    notes: list[str] = []
    assert checkpoints.newest(tmp_path, notes.append) == tmp_path / "checkpoint-2"
    (note,) = notes
    assert note.startswith("checkpoint-4 ")
    assert said in note
    checkpoints.drop_damaged(tmp_path, notes.append)
    assert checkpoints.newest(tmp_path, notes.append) == tmp_path / "checkpoint-2"
    assert not (tmp_path / "checkpoint-4").exists()


def test_models_alone_are_gone_on_from_and_what_begins_anew_is_known(tmp_path: Path) -> None:
    for step in (2, 4):
        path = checkpoint(tmp_path, step)
        for name in FILES:
            (path / name).unlink()
    notes: list[str] = []
    found = checkpoints.newest(tmp_path, notes.append)
    assert (found, notes) == (tmp_path / "checkpoint-4", [])
    assert list(checkpoints.missing(path).values()) == [
        "the optimizer", "the schedule of the learning rate", "the state of chance"
    ]  # fmt: skip


def test_weights_in_parts_are_not_looked_into(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, 4)
    for name in ("own.safetensors", *FILES):
        (path / name).unlink()
    (path / "global_step4").mkdir()
    assert checkpoints.damage(path) is None
    assert checkpoints.missing(path) == {}


def test_rows_that_are_none_are_passed_over_and_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rows = [b'{"step": 1, "loss": 2.0}', b"\xff", b"[1]", b'{"step": "2"}', b"[" * 9_000]
    path.write_bytes(b"\n".join([*rows, b'{"step": 3, "loss": NaN}', b'{"step": 4, "lo']))
    notes: list[str] = []
    assert [row["step"] for row in metrics.rows(path, notes.append)] == [1, 3]
    (note,) = notes
    assert "line 2: it is not UTF-8 (byte 0), and 3 more" in note
