"""Spoilt data files: what a row holds is learnt or shown, named in a note, or refused."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bakery.data.datasets import load_rows
from bakery.data.rows import Row
from tools.attack.mutations import changes
from tools.attack.mutations.judge import judged
from tools.attack.trial import bakery, called
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material

_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"place": "Ede"}'}}

SHAPES: tuple[dict[str, Any], ...] = (
    {"prompt": "Where is Ede?", "response": "It is in Gelderland."},
    {"instruction": "Translate to Dutch.", "input": "a green tree", "output": "een groene boom"},
    {"question": "How much is it?", "answer": "Four euros."},
    {"messages": [
        {"role": "system", "content": "Be brief, please."},
        {"role": "user", "content": "Where are we?"},
        {"role": "assistant", "content": "In Barneveld."},
    ]},
    {"conversations": [
        {"from": "human", "value": "Who goes there?"}, {"from": "gpt", "value": "A friend."},
    ]},
    {"prefix_messages": [{"role": "system", "content": "Speak as a pirate."}],
     "turns": [{"role": "user", "content": "Where to?"}], "response": "Out to sea, matey."},
    {"messages": [
        {"role": "user", "content": [{"type": "text", "text": "The weather in Ede?"}]},
        {"role": "assistant", "content": "", "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "It is sunny."},
        {"role": "assistant", "content": "Sunny weather.", "reasoning_content": "They ask of Ede."},
     ], "tools": [{"type": "function", "function": {"name": "f", "description": "Says weather."}}]},
    {"prompt": [{"role": "user", "content": "What is two and two?"}],
     "completion": [{"role": "assistant", "content": "Four, of course."}]},
    {"text": "Only a question here?"},
)  # fmt: skip

NAMES = (
    "prompt", "response", "messages", "turns", "system", "system_prompt", "context", "history",
    "images", "weight", "train", "label", "loss_weight", "role", "content", "from", "value",
    "tools", "tool_calls", "text", "input", "output", "instruction", "chosen", "rejected",
    "reasoning", "thinking", "reasoning_content", "name", "arguments", "completion", "id",
    "prefix_messages",
)  # fmt: skip

NOT_TEXT = {(key,) for key in ("role", "from", "type", "id", "name", "tool_call_id")}
"""Keys whose value says what another value is."""


class Rows:
    """A folder for data files, and a model whose template shows what is learnt."""

    def __init__(self, folder: Path, material: Material) -> None:
        self.folder, self.base = folder, material.base
        folder.mkdir()

    def __call__(self, case: str) -> Outcome:
        os.chdir(self.folder)
        rng = random.Random(case)
        shape = rng.choice(SHAPES)
        records = [json.loads(json.dumps(shape)) for _ in range(rng.randint(1, 4))]
        path = Path(rng.choice(("rows.jsonl", "rows.jsonl", "rows.json", "rows.csv", "rows.tsv")))
        path.write_bytes(_written(records, path.suffix, rng))
        found: list[Row] = []
        done = called(lambda: found.extend(load_rows(path)))
        first = judged(case, done)
        lost = self._lost(path, found) if first.verdict == "accepted" else []
        if first.verdict != "accepted" or not (lost or rng.random() < 0.3):
            return first
        shown = bakery("--dataset", str(path), "--dry-run", "--model_name_or_path", str(self.base),
                       "--system_prompt", "Shout!", "--output_dir", "out")  # fmt: skip
        return judged(case, shown, partial(_untold, lost, done.err + shown.err, path))

    def _lost(self, path: Path, rows: list[Row]) -> list[tuple[tuple[str, ...], str]]:
        """Return the texts of the file that no row holds, each with the keys that lead to it."""
        held = "\n".join(json.dumps(asdict(row), ensure_ascii=False, default=str) for row in rows)
        return [
            (keys, text)
            for record in _records(path)
            for keys, text in _texts(record)
            if json.dumps(text.strip(), ensure_ascii=False)[1:-1] not in held
        ]


def _untold(lost: list[tuple[tuple[str, ...], str]], told: str, path: Path) -> str:
    """Name a text that is lost, and no note names a key that leads to it."""
    for keys, text in lost:
        if not any(key in told for key in keys):
            where = ".".join(keys)
            return f"{where}: {text[:80]!r} is in {path.read_bytes()[:300]!r}, and in no row"
    return ""


def _written(records: list[Any], suffix: str, rng: random.Random) -> bytes:
    """Return the file, spoilt in one of its records or as text."""
    at = rng.randrange(len(records))
    way = rng.random()
    if way < 0.75:
        records[at] = changes.document(records[at], rng, keys=NAMES)
    if suffix == ".jsonl":
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    elif suffix == ".json":
        text = json.dumps(rng.choice((records, {"data": records}, {"train": records})))
    else:
        text = _csv(records, "\t" if suffix == ".tsv" else rng.choice(",,;"))
    if way < 0.75:
        return text.encode("utf-8", "surrogatepass")
    if way < 0.93:
        return changes.text(text, rng).encode("utf-8", "surrogatepass")
    return changes.raw(text.encode(), rng)


def _csv(records: list[Any], delimiter: str) -> str:
    flat = [record if isinstance(record, dict) else {"prompt": record} for record in records]
    columns = list(dict.fromkeys(str(key) for record in flat for key in record)) or ["prompt"]
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(columns)
    for record in flat:
        cells = [record.get(column, "") for column in columns]
        writer.writerow([c if isinstance(c, str) else json.dumps(c) for c in cells])
    return out.getvalue()


def _records(path: Path) -> Iterator[Any]:
    """Yield what another reader finds in the file; nothing where it finds it spoilt."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".jsonl":
            yield from [json.loads(line) for line in text.split("\n") if line.strip()]
        elif path.suffix == ".json":
            yield json.loads(text)
    except (ValueError, RecursionError):
        return


def _texts(record: Any, *keys: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the texts of a record that mean something, each with the keys that lead to it."""
    if isinstance(record, dict):
        for name, value in record.items():
            yield from _texts(value, *keys, str(name))
    elif isinstance(record, list):
        for value in record:
            yield from _texts(value, *keys)
    elif isinstance(record, str) and keys[-1:] not in NOT_TEXT and len(record.strip()) > 5:
        yield keys, record


def surface(folder: Path, material: Material) -> Callable[[str], Outcome]:
    """Return the trial of this kind."""
    return Rows(folder / "rows", material)
