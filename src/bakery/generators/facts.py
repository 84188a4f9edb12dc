"""`type: facts`: the prompt is taken apart, and each of its statements is asked for.

Directly, in other words, the other way round, and for what the prompt does not say. Without a
`model` rules for English write the questions, so that the smallest base can be baked on them;
with one it is asked about each statement, and the rules stand in where it gives nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from bakery.backends.base import QuestionWriter, Wish
from bakery.generators import asking, oneshot
from bakery.generators.base import Round, Task, normal, opened
from bakery.records import Prompt, user_text
from bakery.statements import EXAMPLE, Statement, statements

WRITER = "bakery"
TEMPERATURE = 0.7
"""Of a model that is asked about a statement."""
TOKENS = 24
"""Of each of its questions, and of what stands around them."""

INSTRUCTION = """\
An assistant has been told, among other things:

<statement>
${statement}
</statement>

Write ${count} short questions that people might ask this assistant and that show whether it knows \
or does this. Ask for it directly, ask the same in other words, name the answer and ask what it \
belongs to, and ask once for something alike that the statement does not say. No answers.

One question per line, each line starting with its number and a full stop."""


def write(task: Task) -> Iterator[Round]:
    """Yield a round for each statement of the prompt: its questions that nobody wrote before."""
    generator = task.generator
    most, wanted = generator["per_statement"], generator.get("numq")
    writer = opened(task) if generator.get("model") else None
    if writer is not None and writer.speaks_as_user:
        task.note(f"{writer.name} speaks as a user only: rules write the questions of the prompt")
        writer = None
    for number, (statement, by_rules) in enumerate(planned(task.teacher, generator["seed"])):
        missing = most if wanted is None else min(most, wanted - len(task.own))
        if missing <= 0:
            return
        if number < task.first:
            continue
        rejected: list[tuple[str, str]] = []
        chosen: list[str] = []
        if writer is not None and not statement.text.startswith(EXAMPLE):
            chosen, rejected = _by_model(task, writer, statement, number, missing)
        name = writer.name if writer is not None and chosen else WRITER
        if not chosen:
            chosen = list(islice(_new(by_rules, task), missing))
        task.known.update(map(normal, chosen))
        task.own.update(map(normal, chosen))
        yield Round(number, tuple(chosen), name, tuple(rejected))


def planned(prompt: Prompt, seed: int) -> list[tuple[Statement, list[str]]]:
    """Return each statement of a prompt with all questions that the rules have for it."""
    found, seen = [], set()
    for statement in statements(prompt):
        if normal(statement.text) in seen:
            continue
        seen.add(normal(statement.text))
        drawn = random.Random(f"{seed}/{normal(statement.text)}")
        questions = (
            _of_example(prompt, statement)
            if statement.text.startswith(EXAMPLE)
            else asking.questions(statement.text, prompt, drawn)
        )
        found.append((statement, list(questions)))
    return found


def count(prompt: Prompt, generator: Mapping[str, Any]) -> int:
    """Return about how many questions come of a prompt: as many as the rules have, or are asked."""
    found: set[str] = set()
    most = 0
    for _, questions in planned(prompt, generator["seed"]):
        new = [text for text in dict.fromkeys(map(normal, questions)) if text not in found]
        found.update(new[: generator["per_statement"]])
        most += generator["per_statement"]
    wanted: int = generator.get("numq", most)
    return min(len(found) if "model" not in generator else most, wanted)


def _of_example(prompt: Prompt, statement: Statement) -> Iterator[str]:
    """Yield what a user of the prompt's own examples says: the answer is beside it."""
    yield " ".join(user_text(prompt.messages[statement.first : statement.last + 1]).split())


def _new(questions: list[str], task: Task) -> Iterator[str]:
    """Yield the questions that are not there yet."""
    for text in dict.fromkeys(questions):
        if normal(text) not in task.known:
            yield text


def _by_model(
    task: Task, writer: QuestionWriter, statement: Statement, number: int, missing: int
) -> tuple[list[str], list[tuple[str, str]]]:
    text = INSTRUCTION.replace("${statement}", statement.text).replace("${count}", str(missing))
    temperature = task.generator.get("temperature", TEMPERATURE)
    most = task.generator.get("max_tokens") or TOKENS * (missing + 1)
    key = f"{task.key}/{number}"
    said = writer.write(Wish(text, key, missing, temperature, most, 1))
    chosen, rejected = oneshot.sift(said, task.known, list_like=True)
    over = [(text, "not needed") for text in chosen[missing:]]
    return chosen[:missing], [*rejected, *over]
