"""What a stage leaves in its folder of the store: names of files, and what they hold.

A stage appends rows as they come, and writes `done.json` last: what has it is complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import json_file
from bakery.errors import ModelError, StageError
from bakery.identity import file_digest
from bakery.records import Stimulus, Trajectory, read_rows, write_atomic

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STIMULI, TRAJECTORIES, METRICS = "stimuli.jsonl", "trajectories.jsonl", "metrics.jsonl"
WEIGHTS = "adapter_model.safetensors"
"""In the folder of a step of a bake."""

REQUEST, RESULT, DONE = "request.json", "bake.json", "done.json"

ASKED, PROBES = "asked.jsonl", "probes.json"
"""Of a bake: what it was asked when it was made, and what it is compared with later."""

EVALS = "eval.json"
"""In the folder of a bake: what `bgit eval` found of its models."""

TESTED = "tests.json"
"""In the folder of a bake: what its model came to in the tests of tests.yml, the last time."""

TENSORBOARD = "tensorboard"
"""In the folder of a bake: what TensorBoard shows of its training, where that was asked for."""

CUT_PROMPT = "cut_prompt"
"""In the done.json of a target: to how many answers the server did not read the whole prompt."""

REJECTED, FAILED = "rejected.jsonl", "failed.jsonl"
BESIDE = "beside.json"
"""What is known besides the questions, for the run that goes on after an interrupted one."""

STEPS = "steps.json"
"""What a training writes of its phases: how many steps each has."""

LEFT_BY_TRAINING = ("checkpoints", "teacher.safetensors", "taught.safetensors", STEPS)
"""What a bake has only for a training that goes on: a finished one has none of it."""


def is_done(folder: Path) -> bool:
    """Tell whether a stage has written all that it was asked for."""
    return (folder / DONE).is_file()


def done(folder: Path) -> dict[str, Any] | None:
    """Return what a complete stage says of itself; None: it is not complete."""
    return whole(folder / DONE) if is_done(folder) else None


def result(folder: Path) -> dict[str, Any] | None:
    """Return what a finished bake says of itself; None: it is not finished."""
    return None if done(folder) is None else whole(folder / RESULT)


def checked_result(folder: Path) -> dict[str, Any]:
    """Return what a finished bake says, whose weights are still the bytes they were."""
    found = result(folder)
    if found is None:
        raise ModelError(
            f"the bake in {folder} is not there, or not complete", hint="`bgit run bake` makes it."
        )
    weights = folder / str(found["step"]) / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"the weights in {weights.parent} are missing")
    if (digest := file_digest(weights)) != found["digest"]:
        raise ModelError(
            f"the weights in {folder} are not those of bake.json "
            f"({digest[:16]}, not {found['digest'][:16]})",
            hint="`bgit run bake --force` trains them again.",
        )
    return found


def rows_done(folder: Path) -> dict[str, Any] | None:
    """Return what a complete set of questions or answers says of itself; None: not complete."""
    told = done(folder)
    if told is None:
        return None
    needed: Mapping[str, Any] = {"count": int, "digest": str, "notes": list, "seconds": int | float}
    for key, kind in needed.items():
        if not isinstance(told.get(key), kind):
            raise _damaged(folder / DONE, f"{key} is {json_file.kind(told.get(key))}")
    return told


def changed(folder: Path) -> str | None:
    """Return what is wrong with complete questions or answers; None: they are as they were made."""
    told = done(folder)
    if told is None or "digest" not in told:
        return None
    path = next((p for p in (folder / STIMULI, folder / TRAJECTORIES) if p.is_file()), None)
    if path is None:
        return f"{folder} has lost its rows" if told.get("count") else None
    if file_digest(path) == told["digest"]:
        return None
    return f"{path} was damaged or changed since it was completed"


def whole(path: Path) -> dict[str, Any]:
    """Return what a file of a stage says, or refuse a damaged one: it is always written whole."""
    try:
        data = json_file.load_object(path)
        needed = _NEEDED if path.name == RESULT else {}
        for key, kind in {**needed, **{k: _MAY[k] for k in _MAY if k in data}}.items():
            if not isinstance(data.get(key), kind) or isinstance(data[key], bool):
                raise ValueError(f"{key} is {json_file.kind(data.get(key))}")
        return data
    except ValueError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, why: str) -> StageError:
    return StageError(
        f"{path} is damaged: {why}",
        hint=f"Delete {path.with_name(DONE)} and run the same command again: what is "
        "there is kept.",
    )


def seen(path: Path) -> dict[str, Any] | None:
    """Return what a file says to somebody who only looks; None: not there, or not whole yet."""
    try:
        return json_file.load_object(path)
    except (OSError, ValueError):
        return None


def is_unread(path: Path) -> bool:
    """Tell whether a file lies there that cannot be read."""
    return path.exists() and seen(path) is None


_NEEDED: Mapping[str, type] = {"step": int, "digest": str}
"""What every bake.json says."""
_MAY: Mapping[str, type] = {
    "count": int, "digest": str, "notes": list, "writers": dict, "targets": list, "card": dict,
}  # fmt: skip
"""What a stage says where it says it."""


def freshen(folder: Path) -> None:
    """Show `bgit gc` that a folder is used by a run, which does not change it."""
    with suppress(OSError):  # a store that may only be read
        os.utime(folder)


def stimuli(folder: Path) -> list[Stimulus]:
    """Return the questions that there are."""
    return read_rows(folder / STIMULI, Stimulus)


def trajectories(folder: Path) -> list[Trajectory]:
    """Return the answers that there are."""
    return read_rows(folder / TRAJECTORIES, Trajectory)


def begin(folder: Path, request: DataclassInstance) -> None:
    """Make a stage's folder, and write down what is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / REQUEST, json.dumps(asdict(request), indent=2) + "\n")


def end(folder: Path, said: Mapping[str, Any]) -> None:
    """Write down that a folder of questions or answers is complete, and what it comes to."""
    write_atomic(folder / DONE, json.dumps(said, indent=2) + "\n")


def amend(folder: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change what a finished bake's bake.json says beside what shaped it, and return all of it.

    None takes a key out.
    """
    before = whole(folder / RESULT)
    said = {key: value for key, value in {**before, **changes}.items() if value is not None}
    if said != before:
        write_atomic(folder / RESULT, json.dumps(said, indent=2) + "\n")
    return said


def end_bake(folder: Path, said: Mapping[str, Any]) -> None:
    """Write down what a bake came to, and that it is complete."""
    write_atomic(folder / RESULT, json.dumps(said, indent=2) + "\n")
    write_atomic(folder / DONE, json.dumps({"schema": 1}) + "\n")
