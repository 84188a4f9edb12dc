"""Questions with the keywords that their answers must hold, for the check before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakery.data import sources
from bakery.data.columns import Unread, alone, first
from bakery.data.sources import Note, as_warning
from bakery.errors import ConfigError, StageError
from bakery.paths import expanded
from bakery.settings.prefix import DATA_BYTES, read_text

WRAPPERS = ("evaluation_samples", "test_samples", "eval", "qa_pairs")
_QUESTION, _ANSWER = ("question", "input"), ("answer", "expected", "target")


def load_eval_data(path: str | Path, note: Note = as_warning) -> list[dict[str, Any]]:
    """Return `question` and `answer` (a list: any of them will do) of every sample."""
    path = expanded(path)
    name = str(path)
    if path.suffix.lower() == ".json" or not path.exists():
        text = read_text(path, at_most=DATA_BYTES)
        numbered = list(enumerate(sources.items_of(text, name, WRAPPERS, note=note), start=1))
    else:
        table = sources.read(path)
        numbered = list(table.records)
        for said in table.notes:
            note(said)
    if not numbered:
        raise StageError(f"{name} has no questions", hint="A sample has a question and an answer.")
    maps = [item for _, item in numbered if isinstance(item, Mapping)]
    held = {key for item in maps for key, value in item.items() if value is not None}
    asked, expected = first(_QUESTION, held), first(_ANSWER, held)
    asks = [n for n in _QUESTION if n in alone(asked, _QUESTION, maps)]
    answers = [n for n in _ANSWER if n in alone(expected, _ANSWER, maps)]
    found, bad, unread = [], [], Unread()
    for number, item in numbered:
        try:
            mine = _key(item, asked, asks), _key(item, expected, answers)
            found.append({"question": _question(item, mine[0]), "answer": _answers(item, mine[1])})
        except ValueError as error:
            bad.append(f"{name}: sample {number}: {error}")
            continue
        unread.add(item, set(map(str, mine)))
    if bad:
        raise ConfigError(
            "\n".join(bad[:5]), hint="A sample is {question: ..., answer: a text or several}."
        )
    for said in unread.notes(name):
        note(said)
    return found


def _question(item: Any, name: str | None) -> str:
    value = _value(item, name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text under {' or '.join(_QUESTION)}, got {value!r}")
    return value


def _answers(item: Any, name: str | None) -> list[str]:
    value = _value(item, name)
    several = value if isinstance(value, list) else [value]
    for one in several:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise ValueError(f"expected a text or number under {' or '.join(_ANSWER)}, got {one!r}")
        if not str(one).strip():
            raise ValueError("the answer is empty, which every answer would match")
    if not several:
        raise ValueError("the list of answers is empty")
    return [str(one) for one in several]


def _key(item: Any, chosen: str | None, instead: Sequence[str]) -> str | None:
    """Return the key of a sample: another than the file's only where it never stands beside it."""
    if not isinstance(item, Mapping) or chosen in item:
        return chosen
    return next((name for name in instead if name in item), chosen)


def _value(item: Any, name: str | None) -> Any:
    if not isinstance(item, Mapping):
        raise ValueError(f"expected a question and an answer, got {item!r}")
    return None if name is None else item.get(name)
