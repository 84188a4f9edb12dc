"""What a generator is given, and what it gives: questions in rounds.

A generator is a function from a Task to rounds; what is written where is `stages.stim`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bakery import variables
from bakery.backends.base import QuestionWriter
from bakery.errors import ConfigError
from bakery.identity import canonical
from bakery.records import Prompt
from bakery.variables import Values

OpenWriter = Callable[[str | None], tuple[QuestionWriter, str | None]]
"""Gives whoever writes questions for a generator's `model` (None: the base), and, where that is
not the one who was asked for, a sentence that says so."""


ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Round:
    """One round of questions: what is new, who wrote it, and what was left out with the reason."""

    number: int
    questions: tuple[str, ...]
    writer: str
    rejected: tuple[tuple[str, str], ...] = ()
    values: tuple[Values, ...] = ()
    """What the row of each question says in the place of variables; empty where there are none."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one generator has to do.

    `known` holds the normal forms of all questions so far, and `own` those that it has written
    itself before; both grow as it goes on. `first` is the number of its next round.
    """

    generator: Mapping[str, Any]
    teacher: Prompt
    key: str
    known: set[str]
    own: set[str]
    first: int
    open_writer: OpenWriter
    read: Callable[[str], bytes]
    note: Callable[[str], None]
    template: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 that each data file had when the request was made."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What is kept with the questions about where they come from."""
    before: Mapping[str, int] = field(default_factory=dict)
    """How the replies of the rounds before `first` were judged, by `ACCEPTED` or the reason."""
    variables: Collection[str] = ()
    """The names in the target's prompts that the rows of its questions fill."""


def opened(task: Task) -> QuestionWriter:
    """Return who writes for a generator; where that is another than was asked for, it is said.

    With `fallback: false` it is refused.
    """
    model = task.generator.get("model")
    writer, instead = task.open_writer(model)
    if instead and not task.generator.get("fallback", True):
        raise ConfigError(
            f"{instead.split(';')[0]}, and its generator says `fallback: false`",
            hint="Set it in the environment, or take `fallback: false` out.",
        )
    if instead:
        task.note(instead)
    return writer


class Generator(Protocol):
    """Writes questions until there are as many as are wanted, or says why there are fewer."""

    def __call__(self, task: Task) -> Iterator[Round]:
        """Yield rounds; none where an earlier run wrote all."""


def normal(question: str) -> str:
    """Return the form in which two questions are the same: no case, single spaces."""
    return " ".join(question.casefold().split())


def of_row(question: str, values: Values | None) -> str:
    """Return the form in which two questions are the same that belong to rows."""
    form = normal(question)
    return f"{form}\n{canonical(values)}" if form and values else form


def with_values(question: str, row: Any, names: Collection[str]) -> tuple[str, Values | None]:
    """Return a question with what its row says in the place of variables."""
    if not names or not isinstance(row, Mapping):
        return question, None
    values = {name: variables.as_text(row.get(name)) or "" for name in names}
    return variables.fill(question, values), values


def take(
    task: Task,
    questions: Iterable[str | tuple[str, Values | None]],
    wanted: int | None,
    *,
    writer: str,
) -> Round:
    """Return the first `wanted` (None: all) new questions of a fixed source, as one round.

    What an earlier run wrote counts, and is not written again. A question may come with the values
    of its row.
    """
    before, rejected = set(task.own), []
    chosen: list[tuple[str, Values | None]] = []
    for one in questions:
        if wanted is not None and len(task.own) >= wanted:
            break
        text, values = (one, None) if isinstance(one, str) else one
        form = of_row(text, values)
        if form in before:
            continue
        if not form or form in task.known:
            rejected.append((text, "duplicate" if form else "empty"))
            continue
        task.known.add(form)
        task.own.add(form)
        chosen.append((text, values))
    filled = tuple(values for _, values in chosen if values is not None)
    return Round(0, tuple(text for text, _ in chosen), writer, tuple(rejected), filled)
