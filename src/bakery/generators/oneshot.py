"""`type: oneshot_qs` and `custom`: a language model writes the questions, until there are enough.

Decides what is asked and what of the replies is a question; who replies is a backend. `write` is
how the first version of the defaults did it: what was recorded by it is made again by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from string import Template

from bakery.backends.base import QuestionWriter, Reply, Wish
from bakery.generators import replies
from bakery.generators.base import Round, Task, normal, opened
from bakery.generators.judge import INSTRUCTION, MOST_CHARS
from bakery.records import Prompt

MAX_FRUITLESS_ROUNDS = 4
"""Rounds in a row without one new question after which a writer is taken to be dry."""

# The project's own words; `identity.QUESTION_TEMPLATE_VERSION` rises when they change.
QUESTION_TEMPLATE = """\
Below are the instructions that an assistant has been given.

<instructions>
${prompt_u}
</instructions>

Imagine many different people who talk to this assistant. Write ${numq} messages that they might \
send, each as the first message of a conversation. Cover a wide range: everyday questions that \
have nothing to do with the instructions, tasks, opinions, facts, small talk, and messages where \
the instructions matter. Vary length and tone. Write only what a person would send: no answers, \
no comments, and nothing that repeats the instructions.

One message per line, each line starting with its number and a full stop."""

THERE_ALREADY = "These are there already. Write none of them again:"
MOST_TOLD = 200
"""Questions that a writer of lists is shown, so that it writes others."""

OPENERS = ("Who are you?", "What is your name?", "Hello!", "How are you?", "What can you do?")
"""Asked in any case where the writer speaks as a user: nearly every prompt changes how they are
answered, and nobody draws them by chance. Their writer is `OPENERS_WRITER`."""

OPENERS_WRITER = "bakery"
MOST_OPENERS = 0.1
"""Share of `numq` that openers may take."""


def write(task: Task) -> Iterator[Round]:
    """Yield rounds until `numq` questions exist that nobody wrote before, or the writer is dry."""
    wanted, have = task.generator["numq"], len(task.own)
    if have >= wanted:
        return
    writer = opened(task)
    if task.template is not None and writer.speaks_as_user:
        which = task.generator.get("template_path", "in input.yml")
        task.note(f"{writer.name} writes questions by itself: template {which} is not read")
    if writer.speaks_as_user and not have:
        chosen = openers(wanted, task.known)
        yield Round(-1, tuple(chosen), OPENERS_WRITER)
        have = len(chosen)
    fruitless, number = 0, task.first
    reasons: Counter[str] = Counter()
    while have < wanted and fruitless < MAX_FRUITLESS_ROUNDS:
        round_ = _round(task, writer, number, wanted - have)
        have += len(round_.questions)
        fruitless = 0 if round_.questions else fruitless + 1
        reasons.update(reason for _, reason in round_.rejected)
        number += 1
        yield round_
    if have < wanted:
        said = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        task.note(
            f"{writer.name} wrote only {have} different questions of {wanted}: "
            f"the last rounds gave nothing new ({said or 'the replies were empty'})"
        )


def _round(task: Task, writer: QuestionWriter, number: int, missing: int) -> Round:
    told = sorted(task.known)[:MOST_TOLD] if writer.longest_list is not None else []
    instruction = instruction_for(task, writer, missing, told)
    how = task.generator["temperature"], task.generator.get("max_tokens")
    said = writer.write(Wish(instruction, f"{task.key}/{number}", missing, *how))
    accepted, rejected = sift(said, task.known, list_like=not writer.speaks_as_user)
    accepted = accepted[:missing]
    task.known.update(normal(q) for q in accepted)
    return Round(number, tuple(accepted), writer.name, tuple(rejected))


def instruction_for(task: Task, writer: QuestionWriter, missing: int, told: Sequence[str]) -> str:
    """Return what a writer is asked, who is `told` some of the questions there are already."""
    text = Template(task.template or QUESTION_TEMPLATE).safe_substitute(
        numq=str(min(missing, writer.longest_list or missing)), prompt_u=as_text(task.teacher)
    )
    there = "\n".join(f"- {question}" for question in told)
    return f"{text}\n\n{THERE_ALREADY}\n{there}" if told else text


def openers(numq: int, known: set[str]) -> list[str]:
    """Return the openers that a set of `numq` questions begins with, and add them to `known`."""
    chosen = [q for q in OPENERS if normal(q) not in known][: int(numq * MOST_OPENERS)]
    known.update(normal(q) for q in chosen)
    return chosen


def sift(
    said: Sequence[Reply], known: set[str], *, list_like: bool
) -> tuple[list[str], list[tuple[str, str]]]:
    """Split replies into new questions and (text, reason) for what is left out."""
    accepted: list[str] = []
    rejected: list[tuple[str, str]] = []
    seen = set(known)
    for reply in said:
        for text, why_not in _candidates(reply, list_like):
            reason = why_not or _reason(text, seen, list_like)
            if reason:
                rejected.append((text, reason))
            else:
                seen.add(normal(text))
                accepted.append(text)
    return accepted, rejected


def as_text(prompt: Prompt) -> str:
    """Return a prompt as people would write it down: the text, with roles where there are many."""
    if len(prompt.messages) == 1:
        return str(prompt.messages[0].get("content") or "")
    return "\n".join(f"{m['role']}: {m.get('content') or ''}" for m in prompt.messages)


def _candidates(reply: Reply, list_like: bool) -> list[replies.Candidate]:
    if list_like:
        return replies.candidates(reply.text, finished=reply.finished)
    return [(reply.text, None if reply.finished else replies.CUT)]


def _reason(text: str, seen: set[str], list_like: bool) -> str | None:
    if not text or "\n" in text or len(text) > MOST_CHARS:
        return replies.NOT_ONE
    # Who writes a list means what ends so: "When I sleep, what does my brain do?"
    is_question = list_like and text.endswith("?")
    if INSTRUCTION.match(text) and not is_question:
        return "instruction"
    return "duplicate" if normal(text) in seen else None
