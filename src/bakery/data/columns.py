"""Which keys of a file's records are read, decided once for all of them; the others are named.

A key that holds nothing is not missed. What the keys mean is read in `formats`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROMPT = (
    "prompt", "user_message", "user_messages", "input", "question", "instruction", "text",
)  # fmt: skip
RESPONSE = ("response", "responses", "completion", "output", "answer", "target")
CONVERSATION = ("turns", "messages", "conversations", "conversation")
SYSTEM = ("system", "system_prompt", "system_message")
"""A row's own system prompt: Orca, ShareGPT, LLaMA-Factory, Axolotl."""
HISTORY = "history"
"""LLaMA-Factory's earlier turns: pairs of what was asked and answered."""
LABELS = ("label", "kto_tag")
"""KTO's: whether an answer is one to learn. Only where every row that has it says yes or no."""
MARKS = ("weight", "train", "training", "trainable", "loss", "loss_weight", "loss_scale")
"""Whether a turn or a row is learnt: OpenAI, Mistral, Axolotl, LLaMA-Factory, ms-swift."""
HIDDEN = "masked"
"""The same the other way round: torchtune."""
BESIDE = {"input": "instruction", "context": "instruction"}
"""What belongs to a prompt of another name: Alpaca's and Dolly's."""
OF_PROMPT = frozenset({
    *SYSTEM, *BESIDE, HISTORY, "prefix_messages", "tools", "functions", "images", "image", "videos",
    "video", "audios", "audio", "documents", "passage",
})  # fmt: skip
"""Without these a question may not be the one that was asked."""
MESSAGE = frozenset({
    "role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning",
    "thinking",
})  # fmt: skip
"""What chat templates read of a message."""
KNOWN = frozenset({
    *PROMPT, *RESPONSE, *CONVERSATION, *SYSTEM, *OF_PROMPT, *LABELS, *MARKS, "expected", "query",
    "problem",
})  # fmt: skip
_SHOWN = 8
"""So many keys are named; more would hide the first."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which key is what in all records of a file; None: they have none."""

    conversation: str | None = None
    prompt: str | None = None
    beside: str | None = None
    """What belongs to the prompt."""
    response: str | None = None
    system: str | None = None
    label: str | None = None
    instead: frozenset[str] = frozenset()
    """Keys that mean the same as one of these, and never stand beside it in a record."""

    def in_record(self, chosen: str | None, record: Mapping[str, Any]) -> str | None:
        """Return the key of a record that is what `chosen` is: another only in its place."""
        if chosen is None or chosen in record:
            return chosen
        names = next((names for names in _ALIKE if chosen in names), ())
        return next((n for n in names if n in self.instead and n in record), chosen)


_ALIKE = (CONVERSATION, PROMPT, RESPONSE)


def columns_of(records: Iterable[Any]) -> Columns:
    """Return what the keys of a file's records mean, from all of them together."""
    rows = [record for record in records if isinstance(record, Mapping)]
    held = {key for row in rows for key, value in row.items() if value is not None}
    prompt = first(PROMPT, held)
    beside = next(
        (key for key, of in BESIDE.items() if {key, of} <= held and prompt in (key, of)), None
    )
    labels = [key for key in LABELS if key in held and _is_switch(key, rows)]
    chosen = first(CONVERSATION, held), BESIDE[beside] if beside else prompt, first(RESPONSE, held)
    instead = (alone(key, names, rows) for key, names in zip(chosen, _ALIKE, strict=True))
    return Columns(
        chosen[0],
        chosen[1],
        beside,
        chosen[2],
        first(SYSTEM, held),
        labels[0] if labels else None,
        frozenset().union(*instead),
    )


def alone(chosen: str | None, names: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the names that no record has beside the chosen one."""
    there: set[str] = set()
    both: set[str] = set()
    for row in rows:
        there |= row.keys() & set(names)
        if chosen in row:
            both |= row.keys() & set(names)
    return there - both


def first(names: Sequence[str], held: Collection[str]) -> str | None:
    """Return the first name that is held."""
    return next((name for name in names if name in held), None)


def is_learnt(value: Any) -> bool | None:
    """Return what a mark says; None: it says neither yes nor no."""
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _YES else False if word in _NO else None
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return None


_YES, _NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


def marked(holder: Mapping[str, Any], names: Sequence[str] = MARKS) -> dict[str, bool]:
    """Return what each mark of a message or row says of learning it."""
    said = {name: is_learnt(holder[name]) for name in names if holder.get(name) is not None}
    if (hidden := is_learnt(holder.get(HIDDEN))) is not None and names is MARKS:
        said[HIDDEN] = not hidden
    return {name: yes for name, yes in said.items() if yes is not None}


def holds(value: Any) -> bool:
    """Tell whether a value says anything: an empty one is not missed."""
    return not (value is None or (isinstance(value, str | list | tuple | dict) and not value))


class Unread:
    """Counts what nothing reads, by key, to name it once."""

    def __init__(self, unit: str = "row") -> None:
        self._unit, self._counts = unit, Counter[str]()

    def add(self, record: Mapping[str, Any], read: Collection[str]) -> None:
        """Count the keys of a record that hold something and are not read."""
        self._counts.update(
            str(key) for key, value in record.items() if key not in read and holds(value)
        )

    def named(self) -> str:
        """Return the keys with their counts, the most frequent first; "" without any."""
        shown = [
            f"`{key}` ({counted(count, self._unit)})"
            for key, count in self._counts.most_common(_SHOWN)
        ]
        more = len(self._counts) - len(shown)
        return ", ".join([*shown, *([f"and {more} more"] if more > 0 else [])])

    def notes(self, name: str, *, what: str = "not read") -> Iterator[str]:
        """Yield a sentence about a file that has such keys."""
        if named := self.named():
            yield f"{name}: {what}: {named}"


def counted(count: int, unit: str) -> str:
    """Return a number with what it counts."""
    return f"{count:,} {unit}{'s' * (count != 1)}"


def _is_switch(key: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a column says only yes and no: a class may be called 0, too."""
    values = [row[key] for row in rows if row.get(key) is not None]
    return all(
        isinstance(value, bool)
        or (isinstance(value, str) and value.strip().lower() in ("true", "false"))
        for value in values
    )
