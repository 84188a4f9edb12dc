"""Questions with the keywords that their answers must hold, for the check before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bakery.data import sources
from bakery.errors import ConfigError, StageError
from bakery.paths import expanded
from bakery.settings.prefix import DATA_BYTES, read_text

WRAPPERS = ("evaluation_samples", "test_samples", "eval", "qa_pairs")
_QUESTION, _ANSWER = ("question", "input"), ("answer", "expected", "target")


def load_eval_data(path: str | Path) -> list[dict[str, Any]]:
    """Return `question` and `answer` (a list: any of them will do) of every sample."""
    path = expanded(path)
    name = str(path)
    if path.suffix.lower() == ".json" or not path.exists():
        items = sources.items_of(read_text(path, at_most=DATA_BYTES), name, WRAPPERS)
        numbered = list(enumerate(items, start=1))
    else:
        numbered = list(sources.read(path).records)
    if not numbered:
        raise StageError(f"{name} has no questions", hint="A sample has a question and an answer.")
    found, bad = [], []
    for number, item in numbered:
        try:
            found.append({"question": _question(item), "answer": _answers(item)})
        except ValueError as error:
            bad.append(f"{name}: sample {number}: {error}")
    if bad:
        raise ConfigError(
            "\n".join(bad[:5]), hint="A sample is {question: ..., answer: a text or several}."
        )
    return found


def _question(item: Any) -> str:
    value = _first(item, _QUESTION)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a text under {' or '.join(_QUESTION)}, got {value!r}")
    return value


def _answers(item: Any) -> list[str]:
    value = _first(item, _ANSWER)
    several = value if isinstance(value, list) else [value]
    for one in several:
        if isinstance(one, bool) or not isinstance(one, str | int | float):
            raise ValueError(f"expected a text or number under {' or '.join(_ANSWER)}, got {one!r}")
        if not str(one).strip():
            raise ValueError("the answer is empty, which every answer would match")
    if not several:
        raise ValueError("the list of answers is empty")
    return [str(one) for one in several]


def _first(item: Any, names: tuple[str, ...]) -> Any:
    if not isinstance(item, Mapping):
        raise ValueError(f"expected a question and an answer, got {item!r}")
    return next((item[name] for name in names if item.get(name) is not None), None)
