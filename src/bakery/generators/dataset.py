"""`type: from_dataset`: questions drawn from a data set of the hub, or from a file of one's own.

A file's bytes are those that input.yml was read with; of the hub the revision is kept.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from bakery import pointers
from bakery.data import formats, sources
from bakery.data.columns import CONVERSATION, OF_PROMPT, Unread
from bakery.errors import ConfigError, StageError
from bakery.generators.base import Round, Task, take, with_values
from bakery.schema import data_sets
from bakery.variables import Values
from bakery.yaml import text as yaml_text

FIELDS = (
    "question", "prompt", "instruction", "input", "user_message", "user_messages", "query",
    "problem", "text", "questions", *CONVERSATION,
)  # fmt: skip
"""Where questions usually are, the surest names first."""

LOOKED_AT = 100
"""So many rows are asked for their columns."""

_HALF = re.compile("[\ud800-\udfff]")


def write(task: Task) -> Iterator[Round]:
    """Yield `numq` questions (all, where it is not given) in the order that the seed gives."""
    asked = task.generator
    wanted = asked.get("numq")
    if wanted is not None and len(task.own) >= wanted:
        return
    name, rows, field = _rows(task)
    order = range(len(rows))
    if wanted is not None:
        order = random.Random(asked["seed"]).sample(order, len(rows))  # type: ignore[assignment]
    field = field or _field(rows, name)
    unread = Unread()
    texts = _texts((rows[index] for index in order), field, unread, task.variables)
    yield take(task, texts, wanted, writer=name)
    for said in unread.notes(name, what="not asked with the questions"):
        task.note(said)
    if wanted is not None and len(task.own) < wanted:
        task.note(
            f"{name} gave {len(task.own)} different questions of {wanted}: it has {len(rows)} rows"
        )


def question(row: Any, field: str | None) -> str:
    """Return the question of a row; "" where it has none. `field` None: a row is a text."""
    if field is None or not isinstance(row, Mapping):
        return _whole(row) if isinstance(row, str) else ""
    value = row.get(field)
    if field in CONVERSATION:  # a table can hold one only as JSON
        value = formats.unpacked(value)
    if isinstance(value, list | tuple):
        value = _asked(value)
    text = _whole(value) if isinstance(value, str) else ""
    further = row.get("input")
    if field == "instruction" and text and isinstance(further, str) and further.strip():
        return f"{text}\n\n{_whole(further)}"
    return text


def _texts(
    rows: Iterable[Any], field: str | None, unread: Unread, names: Collection[str]
) -> Iterator[tuple[str, Values | None]]:
    """Yield the questions of rows, and count what belongs to one and is no part of it.

    With what each row says in the place of variables.
    """
    for row in rows:
        yield with_values(question(row, field), row, names)
        if not isinstance(row, Mapping):
            continue
        read = {field, "input" if field == "instruction" else None, *names}
        beside = {key: row[key] for key in OF_PROMPT if key in row and key not in read}
        if field in CONVERSATION and _goes_on(formats.unpacked(row.get(field))):
            beside["further turns"] = True
        unread.add(beside, ())


def _goes_on(turns: Any) -> bool:
    """Tell whether a conversation is more than a question and its answer."""
    roles = [_role(turn) for turn in turns] if isinstance(turns, list | tuple) else []
    return "system" in roles or roles.count("user") > 1


def _whole(text: str) -> str:
    """Return a text; half of a pair, as JSON may hold, is no character and could not be kept."""
    return _HALF.sub("\ufffd", text).strip()


def _rows(task: Task) -> tuple[str, Sequence[Any], str | None]:
    """Return what the data set is called, its rows, and the column, where that is known."""
    asked = task.generator
    dataset, field, split = asked["dataset"], asked.get("field"), asked.get("split")
    if data_sets.is_file(dataset):
        rows = _of_file(task, dataset, split or "train")
        if field is not None:
            _check(rows, field, dataset)
        return dataset, rows, field
    known = data_sets.KNOWN.get(dataset) or data_sets.HubData(dataset, "")
    if Path(known.id).exists():  # the library would read it as it lies here, added or not
        raise ConfigError(
            f"{known.id} is here, but questions cannot be read from it",
            hint=f"Name a file: {', '.join(data_sets.FILE_KINDS)}.",
        )
    from bakery.data import arrow

    found, revision = arrow.on_hub(
        known.id, split or known.split, asked.get("config") or known.config
    )
    task.origin.update(dataset=known.id, revision=revision)
    if field is not None:
        _check(found, field, known.id)
    return known.id, found, field or known.field or None


def _of_file(task: Task, path: str, split: str) -> list[Any]:
    data = task.read(path)
    digest = hashlib.sha256(data).hexdigest()
    if digest != task.files[path]:
        raise StageError(
            f"{path} has changed since input.yml was read",
            hint="Run the same command again: the questions get a new id.",
        )
    task.origin.update(dataset=path, digest=digest)
    if pointers.is_pointer(data):
        raise ConfigError(
            f"{path} is kept by Git LFS: git holds only a pointer to it",
            hint="Add the file itself, or name a data set of the hub.",
        )
    if PurePosixPath(path).suffix.lower() == ".txt":
        return [line for line in sources.text_of(data, path).splitlines() if line.strip()]
    table = sources.read_bytes(data, path, split)
    for said in table.notes:
        task.note(said)
    return [record for _, record in table.records]


def _columns(rows: Sequence[Any]) -> list[str]:
    some = islice(rows, LOOKED_AT)
    return list(dict.fromkeys(str(k) for row in some if isinstance(row, Mapping) for k in row))


def _field(rows: Sequence[Any], name: str) -> str | None:
    """Return the column that holds the questions; None where rows are texts."""
    columns = _columns(rows)
    if not columns and all(isinstance(row, str) for row in islice(rows, LOOKED_AT)):
        return None
    found = next((field for field in FIELDS if field in columns), None)
    if found is None:
        raise ConfigError(
            f"{name}: cannot tell which column holds the questions; "
            f"it has {', '.join(columns) or 'none'}",
            hint="Name it: `field: ...` beside `dataset`.",
        )
    return found


def _check(rows: Sequence[Any], field: str, name: str) -> None:
    columns = _columns(rows)
    if field not in columns:
        guess = yaml_text.nearest(field, columns)
        raise ConfigError(
            f"{name} has no column {field!r}; it has {', '.join(columns) or 'no columns'}",
            hint=f"Did you mean {guess!r}?" if guess else "`field` names the questions' column.",
        )


def _asked(turns: Sequence[Any]) -> Any:
    """Return the first thing that is asked: a text, or what the first user turn says."""
    for turn in turns:
        if not isinstance(turn, Mapping):
            return turn
        if _role(turn) == "user":
            said = turn.get("content") or turn.get("value")
            return formats.in_parts(said) if isinstance(said, list) else said
    return ""


def _role(turn: Any) -> str:
    given = turn.get("role") or turn.get("from") if isinstance(turn, Mapping) else ""
    return formats.SPEAKERS.get(str(given or "").lower(), "")
