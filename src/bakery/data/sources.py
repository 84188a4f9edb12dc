"""Where rows come from: a file, a folder, the hub. What a row means is read in `formats`.

JSON, JSONL and CSV are read as they are written; everything in Arrow goes through `arrow`.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from bakery import pointers
from bakery.data import delimited
from bakery.data.columns import holds
from bakery.errors import ConfigError, StageError
from bakery.paths import expanded
from bakery.settings.checks import looks_local
from bakery.settings.prefix import DATA_BYTES, check_file, read_text

WRAPPERS = (
    "pairs", "data", "samples", "completions", "training_samples", "conversations",
    "training_prompts", "prompts", "questions",
)  # fmt: skip
_QUESTIONS = ("prompts", "questions", "training_prompts")
_ANSWERS = ("responses", "answers", "completions", "outputs", "targets")
_SLICE = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<first>-?\d*%?):(?P<last>-?\d*%?)\])?")
_TEXTS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv")
_KINDS = ".json, .jsonl, .csv, .tsv, .parquet, or a save_to_disk folder"


Note: TypeAlias = Callable[[str], None]
"""Takes a sentence about a file that a person should read."""


def as_warning(text: str) -> None:
    """Say it to who calls the library."""
    warnings.warn(text, stacklevel=3)


@dataclass(frozen=True, slots=True)
class Table:
    """Records with the number each has in its source, and what to call them in an error."""

    name: str
    records: tuple[tuple[int, Any], ...]
    unit: str = "row"
    has_splits: bool = True
    """False for a single file, of which every split is the whole."""
    notes: tuple[str, ...] = ()
    """What is to be said of how it was read."""

    def where(self, number: int) -> str:
        """Say where a record stands."""
        return f"{self.name}: {self.unit} {number}"


ROWS = "Every row is a prompt, a prompt with its response, or a conversation."
"""What to do about a file that has none."""


def is_text(path: Path) -> bool:
    """Tell whether a file is of no kind that has rows: text, or nothing that is read."""
    return path.is_file() and path.suffix.lower() not in (*_TEXTS, ".parquet")


def may_be_data(folder: Path) -> bool:
    """Tell whether a folder has what a data set begins with, without a walk through all below."""
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        return True
    parts = [one for one in folder.iterdir() if one.is_dir() and _PART.search(one.name.lower())]
    kinds = (*_TEXTS, ".parquet", ".arrow")
    return any(
        one.is_file() and one.suffix.lower() in kinds
        for place in (folder, *parts)
        for one in place.iterdir()
    )


_PART = re.compile(r"^data$|train|test|val|dev|eval")
"""What folders of a data set are called, and of its splits."""


def read(
    source: str | Path, split: str = "train", *, subset: str | None = None, rows: str = ROWS
) -> Table:
    """Return the records of a split; an empty one is an error, whose hint says what `rows` are."""
    path = expanded(source)
    if path.is_dir():
        table = _from_folder(path, split)
    elif path.exists():
        table = _from_file(path, split)
    elif isinstance(source, Path) or looks_local(source):
        raise ConfigError(f"no such file or folder: {source}", hint="Is the path right?")
    else:
        from bakery.data import arrow

        table = Table(source, _numbered(arrow.from_hub(source, split, subset)))
        return _not_empty(table, split, rows)
    if subset is not None:
        raise ConfigError(
            f"{source} is local and has no subset {subset!r}", hint="Take dataset_subset out."
        )
    return _not_empty(table, split, rows)


def items_of(
    text: str, name: str, wrappers: Sequence[str], split: str = "train", note: Note = as_warning
) -> list[Any]:
    """Return the list that a JSON text is, or that it has under one of the wrapper keys."""
    try:
        document = parsed(text)
    except json.JSONDecodeError as error:
        raise StageError(
            f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}",
            hint="One JSON value in the whole file; one per line is JSONL.",
        ) from error
    except _BEYOND as error:
        raise _beyond(name, error) from error
    found = _unwrapped(document, name, wrappers, split)
    for said in found.notes:
        note(said)
    return found.items


def parsed(text: str) -> Any:
    """Return a JSON value, or raise a ValueError where an object has two values of one name."""
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        for key, value in pairs:
            if found[key] != value:
                raise ValueError(f"an object has two values of `{key}`")
    return found


def read_bytes(data: bytes, name: str, split: str = "train") -> Table:
    """Return the records of a file that is in memory: its name says what kind it is."""
    if Path(name).suffix.lower() == ".parquet":
        from bakery.data import arrow

        records = _numbered(arrow.from_parquet_bytes(data, name))
        return _not_empty(_whole_file(name, records, "row", False, split), split)
    return _not_empty(_from_text(text_of(data, name), name, split), split)


def text_of(data: bytes, name: str) -> str:
    """Return the text of a file that is in memory, as `read_text` reads it."""
    try:
        return data.decode("utf-8-sig").rstrip("\n")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{name} is not text in UTF-8 (byte {error.start})", hint="Save it as UTF-8."
        ) from error


def _from_file(path: Path, split: str) -> Table:
    if path.suffix.lower() == ".parquet":
        from bakery.data import arrow

        records = _numbered(arrow.from_parquet(check_file(path)))
        return _whole_file(str(path), records, "row", False, split)
    if path.suffix.lower() not in _TEXTS:
        raise ConfigError(
            f"{path}: cannot tell what kind of file this is", hint=f"Known: {_KINDS}."
        )
    return _from_text(read_text(path, at_most=DATA_BYTES), str(path), split)


def _from_text(text: str, name: str, split: str) -> Table:
    suffix = Path(name).suffix.lower()
    if suffix in (".csv", ".tsv"):
        records, notes = delimited.records(text, name, "\t" if suffix == ".tsv" else ",")
        return replace(_whole_file(name, records, "row", False, split), notes=notes)
    if suffix in (".jsonl", ".ndjson"):
        return _whole_file(name, _json_lines(text, name), "line", False, split)
    return _json_table(text, name, split)


def _whole_file(
    name: str, records: tuple[tuple[int, Any], ...], unit: str, has_splits: bool, split: str
) -> Table:
    wanted = _parts(split)["name"]
    if not has_splits and wanted != "train":
        raise ConfigError(
            f"{name} has no splits, so there is no {wanted!r} in it",
            hint="Take the split out, or cut the file: train[:90%], train[90%:].",
        )
    return Table(name, _slice(records, split), unit, has_splits)


MOST_FILES = 10_000
"""So many files and folders below a folder are looked at: no data set has as many."""


def _all_below(folder: Path) -> Iterator[Path]:
    """Yield what lies in a folder and below it, or refuse one that is no data set but a disk."""
    seen = 0
    for place, folders, files in os.walk(folder):
        seen += len(folders) + len(files)
        if seen > MOST_FILES:
            raise ConfigError(
                f"{folder} holds more than {MOST_FILES:,} files and folders: too many for a data "
                "set",
                hint=f"Name a file in it ({_KINDS}).",
            )
        yield from (Path(place, name) for name in files)


def _from_folder(path: Path, split: str) -> Table:
    from bakery.data import arrow

    for file in _all_below(path):  # the text of a pointer would be taken for a row
        if pointers.lies_at(file):
            check_file(file)
    base = _parts(split)["name"]
    rows, has_splits = arrow.from_folder(path, base)
    return Table(str(path), _slice(_numbered(rows), split), has_splits=has_splits)


def _json_table(text: str, name: str, split: str) -> Table:
    try:
        document = parsed(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # A value a line, under the name of the other format.
            return _whole_file(name, _json_lines(text, name), "line", False, split)
        raise StageError(
            f"{name}:{error.lineno}:{error.colno}: not JSON: {error.msg}",
            hint="A list of rows, or an object with one of: " + ", ".join(WRAPPERS) + ".",
        ) from error
    except _BEYOND as error:
        raise _beyond(name, error) from error
    found = _unwrapped(document, name, WRAPPERS, _parts(split)["name"])
    table = _whole_file(name, _numbered(found.items), "row", found.has_splits, split)
    return replace(table, notes=found.notes)


def _refuse_columns(document: Mapping[str, Any], name: str) -> None:
    """Refuse questions whose answers stand in a list of their own beside them."""
    asked = [key for key in _QUESTIONS if isinstance(document.get(key), list)]
    beside = [key for key in _ANSWERS if isinstance(document.get(key), list)]
    if asked and beside:
        raise StageError(
            f"{name}: `{asked[0]}` and `{beside[0]}` are lists side by side, not rows",
            hint='A row is one object with all its keys: [{"prompt": "…", "response": "…"}, …].',
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """The rows of a document, whether they stood under the name of a split, and what did not."""

    items: list[Any]
    has_splits: bool = False
    notes: tuple[str, ...] = ()


def _unwrapped(document: Any, name: str, wrappers: Sequence[str], split: str) -> _Found:
    if isinstance(document, list):
        return _Found(document)
    if isinstance(document, dict):
        if isinstance(document.get(split), list):
            rest = {k: v for k, v in document.items() if not isinstance(v, list)}
            return _Found(document[split], True, tuple(_beside(rest, split, name)))
        _refuse_columns(document, name)
        found = [key for key in wrappers if isinstance(document.get(key), list)]
        if found:
            items = document[found[0]]
            # One ShareGPT object is a row, not a list of rows.
            if found[0] == "conversations" and _is_message(items[0] if items else None):
                return _Found([document])
            return _Found(items, False, tuple(_beside(document, found[0], name)))
        if "messages" in document or "prompt" in document:
            return _Found([document])
    raise StageError(
        f"{name}: expected a list of rows, or an object with one of: {', '.join(wrappers)}",
        hint=f"It holds {_described(document)}.",
    )


def _beside(document: Mapping[str, Any], read: str, name: str) -> Iterator[str]:
    """Yield a sentence where a document has more than the rows; numbers and dates are of no use."""
    others = [k for k, v in document.items() if k != read and isinstance(v, str | list | dict)]
    if others := [key for key in others if holds(document[key])]:
        yield f"{name}: reads `{read}` and leaves out {', '.join(others)}"


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and (item.keys() >= {"from", "value"} or _is_chat(item))


def _is_chat(item: dict[str, Any]) -> bool:
    return item.keys() >= {"role", "content"}


def _described(document: Any) -> str:
    if isinstance(document, dict):
        return "an object with " + (", ".join(map(str, list(document)[:8])) or "no keys")
    return f"a single {type(document).__name__}"


def _json_lines(text: str, name: str) -> tuple[tuple[int, Any], ...]:
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append((number, parsed(line)))
        except json.JSONDecodeError as error:
            raise StageError(
                f"{name}:{number}:{error.colno}: not JSON: {error.msg}",
                hint="A .jsonl file holds one whole JSON value on every line.",
            ) from error
        except _BEYOND as error:
            raise _beyond(f"{name}:{number}", error) from error
    return tuple(found)


_BEYOND = (RecursionError, ValueError)
"""What a reader of JSON raises where brackets lie too deep, or a number has too many digits."""


def _beyond(at: str, error: Exception) -> StageError:
    return StageError(f"{at}: this JSON cannot be read: {error}")


def _numbered(records: Sequence[Any]) -> tuple[tuple[int, Any], ...]:
    return tuple(enumerate(records, start=1))


def _parts(split: str) -> dict[str, str]:
    match = _SLICE.fullmatch(split.strip())
    if match is None:
        raise ConfigError(
            f"cannot read the split {split!r}",
            hint="Write a name, or a slice such as train[:100], train[90%:].",
        )
    return {key: value or "" for key, value in match.groupdict().items()}


def _slice(records: Sequence[tuple[int, Any]], split: str) -> tuple[tuple[int, Any], ...]:
    parts = _parts(split)
    first, last = (_border(parts[key], len(records)) for key in ("first", "last"))
    return tuple(records[first:last])


def _border(text: str, total: int) -> int | None:
    if not text.strip("-%"):
        return None
    if text.endswith("%"):
        return round(int(text[:-1]) * total / 100)
    return int(text)


def _not_empty(table: Table, split: str, rows: str = ROWS) -> Table:
    if not table.records:
        raise StageError(
            f"{table.name} has no rows" + (f" in {split}" if split != "train" else ""),
            hint=rows,
        )
    return table
