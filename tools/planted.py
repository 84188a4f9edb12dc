"""Damages that are planted in a store, one in each bake: `bgit fsck` has to find every one."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.identity import StimRequest
from bakery.records import Prompt
from bakery.store.results import DONE, METRICS, REQUEST, RESULT, STIMULI, TRAJECTORIES, WEIGHTS
from tools.made_store import STEP, questions_into

NOBODY = 2**22 + 7
"""The number of no process: a system has fewer."""


@dataclass(frozen=True, slots=True)
class Place:
    """One bake of a store: its folder, that of its weights, of its answers and questions."""

    store: Path
    bake: Path
    step: Path
    target: Path
    stim: Path


def places(store: Path) -> list[Place]:
    """Return the bakes of a store, in the order of their ids."""
    found = []
    for bake in sorted((store / "bake").iterdir()):
        (target,) = json.loads((bake / RESULT).read_text("utf-8"))["targets"]
        stim, answers = store / "stim" / target["stim_id"], store / "target" / target["id"]
        found.append(Place(store, bake, bake / str(STEP), answers, stim))
    return found


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is done to a bake; `plant` returns the file that has to be named."""

    name: str
    kind: str
    plant: Callable[[Place], Path]
    needs_whole: bool = False
    """Whether it is only to be seen where every byte is read."""


def _edited(path: Path, edit: Callable[[bytes], bytes]) -> Path:
    data = path.read_bytes()
    path.write_bytes(edit(data))
    assert path.read_bytes() != data
    return path


def _said(path: Path, **changes: Any) -> Path:
    data = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**data, **changes}, indent=2) + "\n", encoding="utf-8")
    return path


def _flipped(data: bytes) -> bytes:
    at = len(data) - 5
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _gone(path: Path) -> Path:
    path.unlink()
    return path


def _lines(path: Path, edit: Callable[[list[bytes]], list[bytes]]) -> Path:
    return _edited(path, lambda data: b"".join(edit(data.splitlines(keepends=True))))


def _other_slices(place: Place) -> Path:
    rows = json.loads((place.step / "slices.json").read_text("utf-8"))
    rows[-1]["bake_id"] = "0" * 16
    (place.step / "slices.json").write_text(json.dumps(rows), encoding="utf-8")
    return place.step / "slices.json"


def _copied(place: Place) -> Path:
    to = place.target.with_name("0123456789abcdef")
    shutil.copytree(place.target, to)
    return to / REQUEST


def _linked(place: Place) -> Path:
    elsewhere = place.store.parent / "elsewhere.safetensors"
    shutil.move(place.step / WEIGHTS, elsewhere)
    (place.step / WEIGHTS).symlink_to(elsewhere)
    return place.step / WEIGHTS


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _long_ago(path: Path) -> Path:
    os.utime(path, (1e9, 1e9))
    return path


def _unneeded(place: Place) -> Path:
    request = StimRequest(Prompt(), ({"type": "hardcoded", "questions": ["Who?"]},), {})
    folder = place.stim.with_name(request.id)
    questions_into(folder, request, ["Who?"])
    return folder


def _without_questions(place: Place) -> Path:
    shutil.rmtree(place.stim)
    return place.stim


DAMAGES = (
    Damage(
        "weights are cut",
        "cut",
        lambda p: _edited(p.step / WEIGHTS, lambda data: data[: len(data) // 2]),
    ),
    Damage(
        "weights are there twice",
        "doubled",
        lambda p: _edited(p.step / WEIGHTS, lambda data: data + data),
    ),
    Damage(
        "one bit of weights is another",
        "damaged",
        lambda p: _edited(p.step / WEIGHTS, _flipped),
        needs_whole=True,
    ),
    Damage(
        "the head of weights is no JSON",
        "damaged",
        lambda p: _edited(p.step / WEIGHTS, lambda data: data[:8] + b"x" + data[9:]),
    ),
    Damage("weights are gone", "missing", lambda p: _gone(p.step / WEIGHTS)),
    Damage("weights are a link", "foreign", _linked),
    Damage(
        "alpha is doubled",
        "damaged",
        lambda p: _said(p.step / "adapter_config.json", lora_alpha=64),
    ),
    Damage("ranks are another bake's", "damaged", _other_slices),
    Damage("the slices are gone", "missing", lambda p: _gone(p.step / "slices.json")),
    Damage(
        "a pickle lies beside weights",
        "foreign",
        lambda p: _written(p.step / "adapter_model.bin", "x"),
    ),
    Damage(
        "bake.json is cut",
        "damaged",
        lambda p: _edited(p.bake / RESULT, lambda data: data[: len(data) // 2]),
    ),
    Damage(
        "bake.json is another bake's", "foreign", lambda p: _said(p.bake / RESULT, bake_id="0" * 16)
    ),
    Damage("a bake lost its done.json", "missing", lambda p: _gone(p.bake / DONE)),
    Damage(
        "the input.yml of a bake is another",
        "foreign",
        lambda p: _written(p.bake / "input.yml", "# another\n"),
    ),
    Damage(
        "a row of metrics is no JSON",
        "damaged",
        lambda p: _lines(p.bake / METRICS, lambda rows: [*rows, b"{\n"]),
        needs_whole=True,
    ),
    Damage(
        "a question is lost",
        "cut",
        lambda p: _lines(p.stim / STIMULI, lambda rows: rows[:-1]),
        needs_whole=True,
    ),
    Damage(
        "a question is there twice",
        "doubled",
        lambda p: _lines(p.stim / STIMULI, lambda rows: [*rows, rows[0]]),
        needs_whole=True,
    ),
    Damage("questions are torn", "cut", lambda p: _edited(p.stim / STIMULI, lambda d: d[:-9])),
    Damage(
        "an answer was edited",
        "damaged",
        lambda p: _edited(p.target / TRAJECTORIES, lambda data: data.replace(b"Hmm", b"Yes", 1)),
        needs_whole=True,
    ),
    Damage(
        "an answer is no JSON",
        "damaged",
        lambda p: _lines(p.target / TRAJECTORIES, lambda rows: [b"{\n", *rows[1:]]),
        needs_whole=True,
    ),
    Damage(
        "answers are others than recorded",
        "foreign",
        lambda p: _said(p.target / DONE, digest="0" * 64),
    ),
    Damage("answers lie under another id, too", "foreign", _copied),
    Damage("answers have lost their questions", "missing", _without_questions),
    Damage(
        "a request is no JSON",
        "damaged",
        lambda p: _edited(p.target / REQUEST, lambda data: data[:-4]),
    ),
    Damage(
        "what a bake was asked for is changed",
        "foreign",
        lambda p: _edited(
            p.bake / REQUEST, lambda data: data.replace(b'"epochs": ', b'"epochs": 1')
        ),
    ),
    Damage("a folder is no bake's", "foreign", lambda p: _written(p.store / "bake" / "old", "")),
    Damage(
        "a job cannot be read",
        "damaged",
        lambda p: _written(p.store / "jobs" / "abc123.json", '{"schema": 1'),
    ),
    Damage(
        "a commit to be made cannot be read",
        "damaged",
        lambda p: _written(p.store / "pending" / "x.json", "[]"),
    ),
    Damage(
        "a writer that was killed left its draft",
        "orphaned",
        lambda p: _long_ago(_written(p.bake / ".bake.json.0a1b2c3d.tmp", "{")),
    ),
    Damage("nothing needs some questions", "orphaned", _unneeded),
)
