"""Which checkpoints of a training run can be gone on from: those that lie there whole.

A full disk or a kill cuts a file short, or leaves one out. What trains on from that either stops
with an error of the libraries, or ends with other weights and says nothing.
"""

from __future__ import annotations

import re
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from bakery import json_file
from bakery.engine.bases import heads
from bakery.engine.models import adapter_head
from bakery.errors import ModelError
from bakery.store.results import WEIGHTS

STATE = "trainer_state.json"
OWN_WEIGHTS = "own.safetensors"
"""The trainable tensors of a bake alone."""
_NAME = re.compile(r"checkpoint-([0-9]+)")
_IN_PARTS = ("global_step*", "pytorch_model_fsdp*", "optimizer_*", "*.distcp")
"""What shows that several processes keep weights and optimizer in formats of their own."""

_ARGUMENTS = "training_args.bin"
"""Written beside, and read by nobody."""

Note = Callable[[str], None]


def is_named(path: Path) -> bool:
    """Tell whether a folder has the name that transformers gives a checkpoint."""
    return _NAME.fullmatch(path.name) is not None


def damage(path: Path) -> str | None:
    """Return what of a checkpoint is missing or damaged; None: it is whole."""
    try:
        state = json_file.load_object(path / STATE, strict=False)
    except FileNotFoundError:
        return f"it has no {STATE}, which is written last"
    except (OSError, ValueError) as error:
        return f"{STATE}: {_said(error)}"
    step, named = state.get("global_step"), _NAME.fullmatch(path.name)
    if not json_file.is_whole(step) or (named and step != int(named[1])):
        return f"{STATE} does not say its step"
    return _damaged_weights(path) or _damaged_rest(path)


def missing(path: Path) -> dict[str, str]:
    """Return the files that a checkpoint lacks, and what begins anew without each.

    One that was kept as a model alone lacks all of them.
    """
    if _is_in_parts(path):
        return {}
    return {
        name.replace("*", ""): what
        for name, what in _BEGINS_ANEW.items()
        if not any(path.glob(name))
    }


_BEGINS_ANEW = {
    "optimizer.pt": "the optimizer",
    "scheduler.pt": "the schedule of the learning rate",
    "rng_state*.pth": "the state of chance",
}


def newest(folder: Path, note: Note) -> Path | None:
    """Return the checkpoint of the most steps to go on from, or None.

    Damaged ones are passed over, and those that lack something where an earlier one does not.
    """
    named = [path for path in folder.glob("checkpoint-*") if is_named(path)]
    usable: list[tuple[Path, dict[str, str]]] = []
    for path in sorted(named, key=lambda path: int(path.name.rpartition("-")[2]), reverse=True):
        if (why := damage(path)) is not None:
            note(f"{path.name} is damaged and left out: {why}")
        elif not (lacks := missing(path)):
            for other, names in usable:
                note(f"{other.name} is left out: it has no {', '.join(names)}")
            return path
        else:
            usable.append((path, lacks))
    return usable[0][0] if usable else None


def drop_damaged(folder: Path, note: Note) -> None:
    """Remove checkpoints that cannot be gone on from, and say which.

    Where one is kept and the others are dropped, transformers would keep the damaged one.
    """
    for path in folder.glob("checkpoint-*"):
        why = damage(path)
        if why is None and (lacks := missing(path)):
            why = f"it has no {', '.join(lacks)}"
        if why is not None:
            note(f"{path.name} is damaged and removed: {why}")
            shutil.rmtree(path)


def check_weights(path: Path) -> None:
    """Refuse a file of trainable tensors that is cut short, or holds no numbers."""
    try:
        adapter_head.check_numbers(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {_said(error)}") from error


def _is_in_parts(path: Path) -> bool:
    return any(next(path.glob(pattern), None) is not None for pattern in _IN_PARTS)


def _damaged_weights(path: Path) -> str | None:
    """Return what is wrong with a checkpoint's weights."""
    found = [*path.glob("*.safetensors"), *path.glob(f"*/{WEIGHTS}")]
    other = [file for file in path.glob("*.bin") if file.name != _ARGUMENTS]
    if not found and not other and not _is_in_parts(path):
        return "it has no weights"
    for file in found:
        try:
            heads.read(file)
            if file.name in (OWN_WEIGHTS, WEIGHTS):
                adapter_head.check_numbers(file)
        except (OSError, ValueError) as error:
            return f"{file.name}: {_said(error)}"
    return None


def _damaged_rest(path: Path) -> str | None:
    """Return what is wrong with optimizer, schedule and the state of chance, where they are."""
    for file in sorted([*path.glob("*.pt"), *path.glob("*.pth"), *path.glob("*.bin")]):
        try:
            with zipfile.ZipFile(file) as archive:
                if (bad := archive.testzip()) is not None:
                    return f"{file.name}: {bad} in it is not what was written"
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            if file.name != _ARGUMENTS:
                return f"{file.name}: {_said(error)}"
    return None


def _said(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return "it is cut short, or damaged"
    return str(getattr(error, "strerror", None) or error).partition("\n")[0]
