"""Rows for training and evaluation, from whatever people have them in.

`load_rows` is what the rest of the engine calls; the functions below it are the library's, which
return plain lists and `datasets.Dataset`s. Files are read in `sources`, shapes in `formats`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.data import formats, reader, sources
from bakery.data.corpus import build_system_prompt, load_corpus
from bakery.data.qa_files import load_eval_data
from bakery.data.rows import Row
from bakery.data.sources import Note, Table, as_warning
from bakery.errors import ConfigError, StageError
from bakery.yaml import text as yaml_text

if TYPE_CHECKING:
    from datasets import Dataset

    from bakery.settings.config import DataConfig

__all__ = [
    "build_system_prompt",
    "create_conversational_dataset",
    "create_dataset",
    "eval_rows",
    "load_conversations",
    "load_corpus",
    "load_data",
    "load_dataset",
    "load_eval_data",
    "load_rows",
    "prompt_baking_collator",
    "rows_of",
    "training_rows",
]
_ROW_KEYS = ("turns", "prefix_messages", "response", "responses", "tools", "system")


def load_rows(
    source: str | Path,
    split: str = "train",
    *,
    subset: str | None = None,
    note: Note = as_warning,
) -> list[Row]:
    """Return the rows of a file, a save_to_disk folder or a data set of the hub."""
    return reader.rows_of_table(sources.read(source, split, subset=subset), note)


def training_rows(data: DataConfig, note: Note = as_warning) -> list[Row]:
    """Return the rows that a configuration trains on."""
    if data.training_prompts is not None:
        return rows_of(data.training_prompts, name="training_prompts")
    if data.dataset is None:
        raise ConfigError("no data to train on", hint="Give dataset or training_prompts.")
    return load_rows(data.dataset, data.dataset_split, subset=data.dataset_subset, note=note)


def eval_rows(data: DataConfig, note: Note = as_warning) -> list[Row] | None:
    """Return the rows that measure the KL during training; None where none are configured."""
    if data.eval_dataset is not None:
        return load_rows(data.eval_dataset, data.eval_dataset_split or "train", note=note)
    if data.eval_dataset_split is None:
        return None
    if data.dataset is None:
        raise ConfigError(
            "eval_dataset_split needs a dataset", hint="Give eval_dataset, or take the split out."
        )
    split = data.eval_dataset_split
    table = sources.read(data.dataset, split, subset=data.dataset_subset)
    if split == data.dataset_split or not (table.has_splits or "[" in split):
        raise ConfigError(
            f"eval_dataset_split {split} of {data.dataset} is what is trained on",
            hint="Give eval_dataset: FILE, or two slices: dataset_split: train[:90%] and "
            "eval_dataset_split: train[90%:].",
        )
    return reader.rows_of_table(table, note)


def rows_of(dataset: Any, *, name: str = "the data set", note: Note = as_warning) -> list[Row]:
    """Return Rows of a Dataset, of a list of texts, records or Rows, or of a collated batch."""
    records: Iterable[Any] = dataset
    if isinstance(dataset, Mapping):
        columns = {key: column for key, column in dataset.items() if column is not None}
        records = [
            dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)
        ]
    elif hasattr(dataset, "features"):
        from bakery.data import arrow

        records = arrow.records(dataset)
    return _rows(list(records), name, note)


def create_dataset(
    prompts: Sequence[str], responses: Sequence[str | None] | None = None
) -> Dataset:
    """Return prompts, and what answers them where that is known, for the trainer."""
    from bakery.data import arrow

    if responses is not None and len(responses) != len(prompts):
        raise StageError(f"{len(prompts)} prompts, but {len(responses)} responses")
    given = [None] * len(prompts) if responses is None else responses
    pairs = zip(prompts, given, strict=True)
    rows_of([{"prompt": p, "response": r} for p, r in pairs], name="create_dataset", note=_unsaid)
    return arrow.texts(prompts, responses)


def create_conversational_dataset(rows: Iterable[Any]) -> Dataset:
    """Return rows with `turns` (and prefix_messages, response, tools) for the trainer."""
    from bakery.data import arrow

    name = "create_conversational_dataset"
    records = list(rows)
    for number, record in enumerate(records, start=1):
        for key in record if isinstance(record, Mapping) else ():
            if key not in _ROW_KEYS:
                guess = yaml_text.nearest(str(key), _ROW_KEYS)
                advice = f"did you mean `{guess}`?" if guess else f"known: {', '.join(_ROW_KEYS)}"
                raise StageError(f"{name}: row {number}: unknown key `{key}`: {advice}")
    found = [_as_record(row) for row in _rows(records, name, _unsaid)]
    return arrow.made_of([{**row, "responses": row.pop("response")} for row in found])


def load_dataset(
    source: str | Path, split: str = "train"
) -> tuple[list[str], list[str | None] | None]:
    """Return prompts and responses of single questions; responses are None where all are."""
    prompts: list[str] = []
    responses: list[str | None] = []
    for row in load_rows(source, split):
        roles = [message["role"] for message in row.turns]
        single = roles in (["user"], ["user", "assistant"]) and not row.unlearnt
        if not single or row.prefix or row.tools or row.system:
            raise StageError(
                f"{source}: row {row.number} is more than a prompt and its response",
                hint="load_conversations reads conversations, own contexts and tools.",
            )
        prompts.append(row.turns[0]["content"])
        responses.append(row.turns[1]["content"] if len(row.turns) == 2 else row.response)
    return prompts, responses if any(r is not None for r in responses) else None


def load_conversations(source: str | Path, split: str = "train") -> list[dict[str, Any]]:
    """Return every row as a dict of turns, prefix_messages and response."""
    return [_as_record(row) for row in load_rows(source, split)]


def load_data(source: str | Path, split: str = "train") -> list[str]:
    """Return the prompts of a file, without what answers them."""
    return load_dataset(source, split)[0]


def prompt_baking_collator(features: Sequence[Any]) -> dict[str, list[Any]]:
    """Put rows side by side, untouched: what becomes of their text is up to the trainer."""
    if all(isinstance(f, Mapping) and "user_messages" in f for f in features):
        names: Sequence[str] = ("user_messages", "responses")
    elif all(isinstance(f, Mapping) and "turns" in f for f in features):
        names = ("turns", "prefix_messages", "responses")
    else:
        rows = [_as_record(row) for row in rows_of(list(features), name="the batch", note=_unsaid)]
        features = [{**row, "responses": row.pop("response")} for row in rows]
        names = ("turns", "prefix_messages", "responses")
    more = ("prefix_messages", "system", "system_prompt", "history", "tools")
    held = [name for name in more if any(name in feature for feature in features)]
    names = (*names, *(name for name in held if name not in names))
    return {name: [feature.get(name) for feature in features] for name in names}


def _rows(records: Sequence[Any], name: str, note: Note = as_warning) -> list[Row]:
    if not records:
        raise StageError(f"{name} has no rows", hint=f"A row is {formats.EXPECTED}.")
    return reader.rows_of_table(Table(name, tuple(enumerate(records, start=1))), note)


def _unsaid(_: str) -> None:
    """Leave a note out: the same data was, or will be, read by who says it."""


def _as_record(row: Row) -> dict[str, Any]:
    turns = [
        turn | ({"train": False} if index in row.unlearnt else {})
        for index, turn in enumerate(row.turns)
    ]
    record: dict[str, Any] = {
        "turns": turns,
        "prefix_messages": None if row.prefix is None else list(row.prefix),
        "response": row.response,
    }
    own = {"tools": list(row.tools), "system": row.system}
    return record | {name: value for name, value in own.items() if value}
