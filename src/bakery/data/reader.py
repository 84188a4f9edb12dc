"""The records of one file, read alike: rows, and what is to be said of what is not read.

What a record is follows from its keys, and which of them count is decided once for the file. A
record that is none of the known shapes is refused with its number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bakery.data import columns, formats
from bakery.data.columns import (
    HISTORY,
    MARKS,
    MESSAGE,
    PROMPT,
    SYSTEM,
    Columns,
    Unread,
    counted,
)
from bakery.data.rows import Row
from bakery.data.sources import Note, Table, as_warning
from bakery.errors import StageError
from bakery.records import Message

_SHOWN = 5
"""So many bad rows are listed; more would hide the first."""


def rows_of_table(table: Table, note: Note = as_warning) -> list[Row]:
    """Return every record as a Row, or one StageError that lists the bad ones.

    `note` is told what of the records is not read, and what is read in a way that may surprise.
    """
    reader = _Reader(columns.columns_of(record for _, record in table.records))
    rows: list[Row] = []
    bad: list[str] = []
    for number, record in table.records:
        try:
            row = reader.row(record, number)
        except ValueError as error:
            bad.append(f"{table.where(number)}: {error}")
        except RecursionError:
            bad.append(f"{table.where(number)}: it is nested too deeply")
        else:
            rows += [row] if row is not None else []
    if bad:
        more = [f"... and {len(bad) - _SHOWN} more"] if len(bad) > _SHOWN else []
        raise StageError(
            "\n".join([*bad[:_SHOWN], *more]), hint=f"A {table.unit} is {formats.EXPECTED}."
        )
    for text in (*table.notes, *reader.notes(table.name)):
        note(text)
    if not rows:
        raise StageError(
            f"{table.name}: every {table.unit} is marked as none to learn from",
            hint=f"The marks are {', '.join((*columns.LABELS, *MARKS))}.",
        )
    return rows


class _Reader:
    """Reads the records of one file alike, and counts what is to be said of them."""

    def __init__(self, of: Columns) -> None:
        self._of = of
        self._unread, self._in_messages = Unread(), Unread("message")
        self._used: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        self._unlearnt: Counter[str] = Counter()

    def row(self, record: Any, number: int) -> Row | None:
        """Return one record as a Row, or raise a ValueError that says what is wrong with it.

        None: it is marked as none to learn from.
        """
        if isinstance(record, Row):
            return record
        if isinstance(record, str):
            return Row(number, (formats.user_turn(record),))
        if isinstance(record, list | tuple) and record:
            turns, unlearnt = self._apart(formats.ended(self._messages(record, "the conversation")))
            return Row(number, turns, unlearnt=unlearnt)
        if not isinstance(record, Mapping):
            raise ValueError(f"expected {formats.EXPECTED}, got {formats.shown(record)}")
        read = {"prefix_messages", "tools"}
        prefix = formats.unpacked(record.get("prefix_messages"))
        tools = formats.unpacked(record.get("tools"))
        turns, response = self._turns(record, read)
        turns, unlearnt = self._apart(turns)
        system = self._system(record, turns, read)
        is_out = self._is_left_out(record, response is not None or len(turns) > 1, read)
        self._unread.add(record, read)
        if is_out:
            return None
        return Row(
            number,
            turns,
            response,
            prefix=self._messages(prefix, "prefix_messages") if prefix else None,
            tools=formats.tools_of(tools) if tools else (),
            system=system,
            unlearnt=unlearnt,
        )

    def notes(self, name: str) -> Iterator[str]:
        """Yield what is to be said of the file."""
        yield from self._unread.notes(name)
        yield from self._in_messages.notes(
            name, what="in messages, shown only by a chat template that knows it"
        )
        for key, count in self._used.items():
            yield f"{name}: `{key}` of {counted(count, 'row')} {_MEANINGS[key]}"
        for key, count in self._left_out.items():
            yield f"{name}: {counted(count, 'row')} left out: `{key}` says that it is not learnt"
        for key, count in self._unlearnt.items():
            yield f"{name}: {counted(count, 'turn')} not learnt, as `{key}` says"

    def _apart(self, turns: tuple[Message, ...]) -> tuple[tuple[Message, ...], tuple[int, ...]]:
        """Return turns without their marks, and which of them are marked as none to learn."""
        plain, unlearnt = [], []
        for index, turn in enumerate(turns):
            said = columns.marked(turn)
            plain.append({key: value for key, value in turn.items() if key not in said})
            if no := [name for name, yes in said.items() if not yes]:
                unlearnt.append(index)
                self._unlearnt[no[0]] += 1
        return tuple(plain), tuple(unlearnt)

    def _turns(
        self, record: Mapping[str, Any], read: set[str]
    ) -> tuple[tuple[Message, ...], str | None]:
        """Return what comes before the answer, and the answer; `read` gets the keys of both."""
        of = self._of
        name = of.in_record(of.conversation, record)
        answer_name = of.in_record(of.response, record) or ""
        answer = record.get(answer_name)
        read.update({answer_name, str(name)})
        if name is not None and record.get(name) is not None:
            turns = formats.ended(self._messages(formats.unpacked(record[name]), name))
        elif name is not None and name in record:
            raise ValueError(f"{name} holds nothing, and is where the others have their messages")
        else:
            name, turns = self._asked(record, read)
        if answer is None:
            return turns, None
        if turns[-1]["role"] == "assistant":
            raise ValueError(f"{name} ends with the assistant, so {answer_name} answers nothing")
        if isinstance(answer, list | tuple):
            return formats.joined(turns, self._messages(answer, answer_name), answer_name)
        return turns, formats.text_in(answer, answer_name)

    def _asked(self, record: Mapping[str, Any], read: set[str]) -> tuple[str, tuple[Message, ...]]:
        """Return the key of a prompt, and the turns it is, earlier ones and all."""
        name, beside = self._of.in_record(self._of.prompt, record), self._of.beside
        if name is not None and record.get(name) is None and record.get(beside or "") is not None:
            name, beside = str(beside), None
        if name is None or not any(record.get(key) is not None for key in PROMPT):
            raise ValueError(f"expected {formats.EXPECTED}; {formats.keys_of(record)}")
        if record.get(name) is None:
            raise ValueError(
                f"its {name} holds nothing, and is where the others have the prompt; "
                f"{formats.keys_of(record)}"
            )
        read.add(name)
        if isinstance(record[name], list | tuple):
            return name, formats.ended(self._messages(record[name], name))
        text = formats.text_in(record[name], name)
        further = record.get(beside or "")
        if beside is not None and isinstance(further, str):
            read.add(beside)
            if further:
                text = f"{text}\n\n{further}"
                if beside == "context":
                    self._used[beside] += 1
        earlier = self._earlier(record, read)
        return name, (*earlier, formats.user_turn(text))

    def _earlier(self, record: Mapping[str, Any], read: set[str]) -> tuple[Message, ...]:
        """Return the turns of a history: messages, or pairs of what was asked and answered."""
        given = formats.unpacked(record.get(HISTORY))
        if not isinstance(given, list | tuple) or not given:
            return ()
        if all(isinstance(turn, Mapping) for turn in given):
            turns = self._messages(given, HISTORY)
        elif all(_is_pair(pair) for pair in given):
            both = (("user", "assistant"),) * len(given)
            turns = tuple(
                {"role": role, "content": text}
                for roles, pair in zip(both, given, strict=True)
                for role, text in zip(roles, pair, strict=True)
            )
        else:
            return ()
        read.add(HISTORY)
        self._used[HISTORY] += 1
        return turns

    def _system(
        self, record: Mapping[str, Any], turns: Sequence[Message], read: set[str]
    ) -> str | None:
        """Return a row's own system prompt, where its turns do not begin with another."""
        name = self._of.system
        text = record.get(name) if name else None
        if not isinstance(text, str) or not text.strip() or turns[0]["role"] == "system":
            return None
        read.add(str(name))
        self._used[str(name)] += 1
        return formats.text_in(text, str(name))

    def _is_left_out(self, record: Mapping[str, Any], answers: bool, read: set[str]) -> bool:
        """Tell whether a row says of itself, or of its answer, that it is not to be learnt."""
        said = columns.marked(record)
        if self._of.label is not None and answers:
            said |= columns.marked(record, (self._of.label,))
        read.update(said)
        no = [name for name, yes in said.items() if not yes]
        self._left_out.update(no[:1])
        return bool(no)

    def _messages(self, value: Any, name: str) -> tuple[Message, ...]:
        found = formats.messages_of(value, name)
        for message in found:
            self._in_messages.add(message, MESSAGE | columns.marked(message).keys())
        return found


_MEANINGS = {
    "context": "stands behind the instruction",
    **dict.fromkeys(SYSTEM, "is a system prompt of its own"),
    HISTORY: "is earlier turns; those of the assistant are learnt as all are",
}


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(text, str) and text.strip() for text in value)
    )
