"""What can be wrong with what lies in a store, file by file, and what mends it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bakery import json_file
from bakery.json_file import DamagedError
from bakery.plain import Plain
from bakery.store import results
from bakery.store.drafts import is_left, is_old
from bakery.store.store import Store

Kind = Literal["missing", "cut", "doubled", "foreign", "damaged", "orphaned"]

STORE_FOLDERS = ("stim", "target", "bake")
ID = re.compile(r"[0-9a-f]{16}")
AGAIN = re.compile(r"[0-9a-f]{16}\.again")
"""What `bgit run bake --force` trains in."""

_KEYS = {
    results.STIMULI: ("id",),
    results.TRAJECTORIES: ("stimulus_id", "sample"),
}
"""What no two rows have alike."""

_STEP_FILES = frozenset({results.WEIGHTS, "adapter_config.json", "slices.json"})


@dataclass(frozen=True, slots=True)
class Finding(Plain):
    """Something in the store that is not as it must be."""

    kind: Kind
    path: Path
    name: str
    """What people call it: a model, a target, a job."""
    why: str
    mend: str
    """What to do, in words and commands."""

    @property
    def is_damage(self) -> bool:
        """Whether something is lost or false; what is only left over harms nobody."""
        return self.kind != "orphaned"


def object_problem(path: Path) -> tuple[Kind, str] | None:
    """Return what is wrong with a small file of JSON; None: it holds an object."""
    try:
        json_file.load_object(path, most=json_file.MB)
    except FileNotFoundError:
        return "missing", "it is missing"
    except DamagedError as error:
        return ("cut" if path.stat().st_size == 0 else "damaged"), str(error)
    except OSError as error:
        return "damaged", str(error.strerror or error)
    return None


def rows_problem(
    path: Path,
    recorded: str | None,
    count: int | None,
    *,
    digest: Callable[[Path], str] | None = None,
) -> tuple[Kind, str] | None:
    """Return what is wrong with questions or answers; None: nothing.

    `recorded` is the digest that was written down of them; None: nobody has. `digest` reads it
    from a file; without that only their end is looked at, where they are complete.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        return "foreign", "it is a link, a folder or a device instead of a file"
    if not path.exists():
        return "missing", "it is missing"
    if digest is None and recorded is not None:
        return _end_problem(path) if count else None
    found_digest = digest(path) if digest is not None else None
    if recorded is not None and found_digest == recorded:
        return None
    try:
        found, last = _rows_read(path)
    except (DamagedError, OSError) as error:
        return "damaged", str(error)
    if last is not None:
        return last
    if count is not None and found < count:
        return "cut", f"it has {found} of {count} rows"
    if count is not None and found > count:
        return "doubled", f"it has {found} rows, and {count} were written"
    if recorded is not None and found_digest is not None:
        return "damaged", f"its digest is {found_digest[:16]}, and was {recorded[:16]}"
    return None


def _end_problem(path: Path) -> tuple[Kind, str] | None:
    size = path.stat().st_size
    if size == 0:
        return "cut", "it is empty"
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return None if file.read(1) == b"\n" else ("cut", "its last row is torn")


def _rows_read(path: Path) -> tuple[int, tuple[Kind, str] | None]:
    """Return how many rows there are, and what is wrong with the first that is not right."""
    seen: dict[tuple[Any, ...], int] = {}
    number = 0
    for number, line in json_file.lines(path):
        try:
            row = json_file.as_object(json_file.parse(line))
        except DamagedError as error:
            return number, ("damaged", f"line {number}: {error}")
        key = tuple(repr(row.get(name)) for name in _KEYS[path.name])
        if key in seen:
            return number, ("doubled", f"line {number} says again what line {seen[key]} says")
        seen[key] = number
    return number, None


def weights_problem(path: Path) -> Kind:
    """Return in which way weights are wrong of which the head and the size disagree."""
    try:
        with json_file.open_regular(path) as file:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                return "cut"
            head = json_file.as_object(json_file.parse(file.read(length)))
        ends = [tensor["data_offsets"][1] for name, tensor in head.items() if name[:2] != "__"]
        due = 8 + length + max(ends)
    except (DamagedError, OSError, KeyError, TypeError, ValueError, IndexError, AttributeError):
        return "damaged"
    return "cut" if size < due else "doubled" if size > due else "damaged"


def strangers(folder: Path, known: frozenset[str] = _STEP_FILES) -> list[Path]:
    """Return what lies in a folder and is none of the files that belong there."""
    return [path for path in entries(folder) if path.name not in known and not is_draft(path)]


def entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, in order; nothing where there is none."""
    return sorted(folder.iterdir()) if folder.is_dir() else []


def is_draft(path: Path) -> bool:
    """Tell whether something is what a writer had not renamed yet."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def drafts(store: Store) -> Iterator[Path]:
    """Yield what writers left anywhere in a store, whose processes are gone."""
    for folder, inside, names in os.walk(store.root):
        for name in sorted(inside):
            if is_draft(path := Path(folder) / name):
                inside.remove(name)
                if is_left(path):
                    yield path
        for name in sorted(names):
            if is_draft(path := Path(folder) / name) and is_old(path):
                yield path
