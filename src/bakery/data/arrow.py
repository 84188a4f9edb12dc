"""What lies in Arrow tables: parquet files, save_to_disk folders, data sets of the hub.

Imported only when one of these is read or made: `datasets` takes a second to load.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
from datasets import (
    Dataset,
    DatasetDict,
    Features,
    Json,
    List,
    Value,
    load_dataset,
    load_from_disk,
)
from datasets.exceptions import DatasetsError
from pyarrow import parquet

from bakery.errors import StageError

# Messages are stored as JSON: Arrow would give every message the keys of all others, as nulls.
CONVERSATIONS = {
    "turns": List(Json()),
    "prefix_messages": List(Json()),
    "responses": Value("string"),
    "tools": List(Json()),
    "system": Value("string"),
}
_OWN = ("tools", "system")
_COMMIT = re.compile(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")
_FAILURES = (DatasetsError, OSError, ValueError, RuntimeError, TypeError, pyarrow.ArrowException)


def from_parquet(path: Path) -> list[Any]:
    """Return the rows of a parquet file."""
    try:
        _check_names(parquet.read_schema(path), str(path))
        return records(Dataset.from_parquet(str(path), keep_in_memory=True))
    except _FAILURES as error:
        raise StageError(f"{path} is not a parquet file: {_said(error)}") from error


def from_parquet_bytes(data: bytes, name: str) -> list[Any]:
    """Return the rows of a parquet file that is in memory."""
    try:
        _check_names(parquet.read_schema(io.BytesIO(data)), name)
        return records(Dataset(parquet.read_table(io.BytesIO(data))))
    except _FAILURES as error:
        raise StageError(f"{name} is not a parquet file: {_said(error)}") from error


def _check_names(schema: pyarrow.Schema, name: str) -> None:
    twice = [column for column, count in Counter(schema.names).items() if count > 1]
    if twice:
        raise StageError(f"{name}: two columns are called `{twice[0]}`", hint="Rename one of them.")


def from_folder(path: Path, split: str) -> tuple[list[Any], bool]:
    """Return the rows of a split of a saved folder, and whether it knows splits at all."""
    try:
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            found = load_from_disk(str(path))
        else:
            found = load_dataset(str(path))
    except _FAILURES as error:
        raise StageError(
            f"{path} is a folder without a data set in it: {_said(error)}",
            hint="Name a file in it, or a folder that save_to_disk wrote.",
        ) from error
    if not isinstance(found, DatasetDict):
        return records(found), False
    if split not in found:
        raise StageError(
            f"{path} has no split {split!r}", hint=f"It has: {', '.join(map(str, found))}."
        )
    return records(found[split]), True


def from_hub(source: str, split: str, subset: str | None) -> list[Any]:
    """Return the rows of a data set on the hub; its own error is shown where it fails."""
    return records(on_hub(source, split, subset)[0])


def on_hub(source: str, split: str, subset: str | None) -> tuple[Dataset, str]:
    """Return a data set on the hub as it is, and the revision that it has ("" if unknown)."""
    try:
        found = load_dataset(source, subset, split=split)
        return found, _revision(found)
    except _FAILURES as error:
        raise StageError(
            f"cannot load {source!r}, which is not a file here, from the hub: {_said(error)}",
            hint="Is the name right, does the split exist, and is the machine online? "
            "Private data sets need `hf auth login`.",
        ) from error


def records(dataset: Any) -> list[dict[str, Any]]:
    """Return the rows without the nulls that Arrow adds; what is stored as JSON has none."""
    exact = {
        name
        for name, feature in (dataset.features or {}).items()
        if isinstance(getattr(feature, "feature", feature), Json)
    }
    return [
        {key: value if key in exact else _without_nulls(value) for key, value in row.items()}
        for row in dataset
    ]


def made_of(rows: Sequence[dict[str, Any]]) -> Dataset:
    """Return rows with `turns`, `prefix_messages`, `responses` (and their own) as a Dataset."""
    names = [name for name in CONVERSATIONS if name not in _OWN or any(name in r for r in rows)]
    columns = {name: [row.get(name) for row in rows] for name in names}
    features = Features({name: CONVERSATIONS[name] for name in names})
    return Dataset.from_dict(columns, features=features)


def texts(prompts: Sequence[str], responses: Sequence[str | None] | None) -> Dataset:
    """Return prompts, and their responses where there are any, as a Dataset."""
    columns: dict[str, Any] = {"user_messages": list(prompts)}
    if responses is not None:
        columns["responses"] = list(responses)
    features = Features(dict.fromkeys(columns, Value("string")))
    return Dataset.from_dict(columns, features=features)


def _without_nulls(value: Any) -> Any:
    """Drop the keys that Arrow gives to a message because another one has them."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _revision(found: Dataset) -> str:
    """Return the commit that the hub's files were fetched from: their addresses hold it."""
    places = [*(found.info.download_checksums or {}), *(f["filename"] for f in found.cache_files)]
    commits = (_COMMIT.search(place) for place in places)
    return next((match.group() for match in commits if match), "")


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
