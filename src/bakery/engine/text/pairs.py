"""Rows to pairs: the same targets behind the teacher's context and behind the student's.

Finished rows are rendered as text; sampled answers keep their ids. A row that cannot be paired
token by token is refused with its number.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bakery.data.rows import Row
from bakery.engine.text import patterns, turns
from bakery.engine.text.chat import Chat
from bakery.engine.text.spans import Targets, target_view
from bakery.engine.text.unseen import hides_thoughts, unseen_in
from bakery.engine.text.views import Pair, Span, View
from bakery.errors import ConfigError, StageError
from bakery.records import Message, Prompt

Messages = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """What the teacher knows, what the student keeps of it, and what the loss scores.

    The pattern is searched in a message's content; compile it with re.MULTILINE. Its scope says
    whether a message that has a match is a target whole, or only what matches.
    """

    prefix: Messages = ()
    student_retained_turns: int = 0
    target_roles: frozenset[str] = frozenset({"assistant"})
    target_content_pattern: re.Pattern[str] | None = None
    target_scope: Literal["message", "match"] = "message"

    def prompt(self, row: Row) -> Prompt:
        """Return a row's context: its own prefix, the global one or its system prompt, and tools.

        Without a prefix, and with turns that the student keeps, its system prompt is the first of
        the conversation's own earlier messages instead.
        """
        if row.prefix is not None:
            return Prompt(tuple(row.prefix), row.tools)
        own = () if self.prefix or self.student_retained_turns else row.named
        return Prompt(self.prefix or own, row.tools)


class RowRefused(StageError):  # noqa: N818  # Read as a fact about a row: `except RowRefused`.
    """A row that cannot be used, and why."""

    def __init__(self, number: int, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"row {number}: {reason}", hint=hint)
        self.number = number


def pairs_of(chat: Chat, row: Row, context: ContextSettings) -> list[Pair]:
    """Return a finished row's pairs: none without targets, one, or one for each target turn.

    More than one means that the row was split, as the template changes earlier turns: each
    target turn is then rendered as the last. Every turn behind the context can be a target.
    """
    sides = _sides(row, context)
    answer: Messages = ()
    if row.response is not None:
        answer = ({"role": "assistant", "content": row.response},)
    shared = (*sides.shared, *answer)
    targets = _targets(row, shared, sides.first, context)
    if not targets:
        return []
    hides = refuse_unseen(chat, row, context, targets)
    key, last = str(row.number), max(targets)
    if len(targets) == 1 or not _changes(chat, row, sides, shared):
        pairs = [_text_pair(chat, row, key, sides, shared[: last + 1], targets)]
    else:
        pairs = [
            _text_pair(chat, row, f"{key}.{at + 1}", sides, shared[: at + 1], {at: chosen})
            for at, chosen in sorted(targets.items())
        ]
    if hides:
        pairs = [replace(pair, teacher=_remarked(pair.teacher)) for pair in pairs]
    return [pair for pair in pairs if pair.num_targets]


def refuse_unseen(
    chat: Chat, row: Row, context: ContextSettings, learnt: Collection[int] = ()
) -> bool:
    """Refuse a row whose context holds what the template leaves out: nobody would see it.

    `learnt` are its turns that are targets: those are refused where they are looked for. Return
    whether thoughts are left out, as many templates do on purpose.
    """
    sides = _sides(row, context)
    at = {len(sides.teacher) + index for index in learnt}
    whole = (*sides.teacher, *sides.shared)
    try:
        missing = unseen_in(chat, whole, row.tools, at)
        hides = hides_thoughts(chat, whole, row.tools, at)
    except ConfigError:  # told where the row is rendered
        return False
    if missing:
        raise RowRefused(
            row.number,
            f"the chat template does not show {' and '.join(missing)}",
            hint="The model would never see it. Take it out, or choose a model whose template "
            "shows it.",
        )
    return hides


def _remarked(view: View) -> View:
    return replace(view, remarks=(*view.remarks, turns.UNSEEN_THOUGHTS))


def sampled_pair(
    chat: Chat, row: Row, context: ContextSettings, response_ids: Sequence[int], key: str
) -> Pair | None:
    """Put a sampled answer behind both prefixes; None where nothing of it is a target.

    Only the answer is scored: earlier turns are context. The pattern sees the answer's text as
    decoded, special tokens and thinking included, without its end of turn.
    """
    if "assistant" not in context.target_roles:
        return None
    spans = _sampled_spans(chat, row, context, response_ids)
    if not spans:
        return None
    views = [
        View(
            (*prefix, *response_ids),
            tuple((len(prefix) + start, len(prefix) + stop) for start, stop in spans),
        )
        for prefix in prefixes(chat, row, context)
    ]
    return Pair(key, *views)


def prefixes(chat: Chat, row: Row, context: ContextSettings) -> tuple[list[int], list[int]]:
    """Return the teacher's and the student's ids before an answer that is to be sampled."""
    teacher, student = split_prefix(row, context)
    both = []
    for side, messages in (("teacher", teacher), ("student", student)):
        try:
            both.append(chat.prefix_ids(Prompt((), row.tools), messages))
        except ConfigError as error:
            raise _refused(row, side, context.student_retained_turns, error) from error
    return both[0], both[1]


def split_prefix(row: Row, context: ContextSettings) -> tuple[Messages, Messages]:
    """Return the messages before the response: the teacher's, and the student's.

    Without a prefix the conversation's own earlier messages are the context, and the student
    keeps its last `student_retained_turns` messages, the answer counted.
    """
    sides = _sides(row, context)
    return (*sides.teacher, *sides.shared), (*sides.student, *sides.shared)


def question(row: Row, context: ContextSettings) -> tuple[Prompt, Prompt, Messages] | None:
    """Return the prompts of teacher and student, and what is asked behind both up to the answer.

    None: nobody asks, as no answer to a user or a tool comes last.
    """
    answered = row.turns[-1]["role"] == "assistant"
    turns = row.turns[:-1] if answered else row.turns
    if not turns or turns[-1]["role"] not in ("user", "tool"):
        return None
    sides = _sides(replace(row, turns=turns, response=None), context)
    return Prompt(sides.teacher, row.tools), Prompt(sides.student, row.tools), sides.shared


def fit(pair: Pair, max_length: int) -> Pair | None:
    """Return the pair with its tail cut until both views fit; None if no target does.

    Nothing before the first target is ever cut, and both views lose the same targets.
    """
    if max(len(pair.teacher.ids), len(pair.student.ids)) <= max_length:
        return pair
    both = (pair.teacher, pair.student)
    kept = min(sum(at + 1 < max_length for at in view.predicting) for view in both)
    if not kept:
        return None
    return Pair(pair.key, *(_cut(view, view.predicting[kept - 1] + 2) for view in both))


@dataclass(frozen=True, slots=True)
class _Sides:
    """What only the teacher has first, what only the student has first, and what both have."""

    teacher: Messages
    student: Messages
    shared: Messages
    retained: int
    first: int = 0
    """Which of the row's turns the first shared one is."""


def _sides(row: Row, context: ContextSettings) -> _Sides:
    prefix, kept = context.prompt(row).messages, context.student_retained_turns
    if prefix:
        return _Sides(prefix, prefix[max(0, len(prefix) - kept) :], row.turns, kept)
    if not kept:
        raise RowRefused(
            row.number,
            "it has no context to bake: no prefix, and the student sees all that the teacher sees",
            hint="Give prefix_messages, globally or per row, or student_retained_turns above 0 "
            "to bake a conversation's own earlier messages.",
        )
    answered = row.response is not None or row.needs_sampling
    turns = (*row.named, *row.turns)
    cut = max(0, len(turns) + answered - kept)
    return _Sides(turns[:cut], (), turns[cut:], kept, cut - len(row.named))


def _targets(row: Row, shared: Messages, first: int, context: ContextSettings) -> Targets:
    """Return which messages are targets, and which characters of them where only some are."""
    targets: dict[int, Sequence[Span] | None] = {}
    for index, message in enumerate(shared):
        if message["role"] not in context.target_roles or first + index in row.unlearnt:
            continue
        content = message.get("content") or ""
        if not isinstance(content, str):
            raise RowRefused(row.number, f"the content of turn {index + 1} is not text")
        if not content.strip() and not message.get("tool_calls"):
            continue
        chosen = _chosen(content, context)
        if chosen is None or chosen:
            targets[index] = chosen
    return targets


def _chosen(text: str, context: ContextSettings) -> list[Span] | None:
    """Return the characters that are targets: None for all, an empty list for none."""
    pattern = context.target_content_pattern
    if pattern is None:
        return None
    found = patterns.spans(pattern, text, name="target_content_pattern")
    if context.target_scope == "message":
        return None if found else []
    return [(start, stop) for start, stop in found if stop > start]


def _changes(chat: Chat, row: Row, sides: _Sides, shared: Messages) -> bool:
    return turns.is_put_behind(chat) or any(
        chat.changes_earlier_turns((*own, *shared), row.tools)
        for own in (sides.teacher, sides.student)
    )


def _text_pair(
    chat: Chat, row: Row, key: str, sides: _Sides, shared: Messages, targets: Targets
) -> Pair:
    views = []
    for side, own in (("teacher", sides.teacher), ("student", sides.student)):
        moved = {len(own) + index: chosen for index, chosen in targets.items()}
        try:
            views.append(target_view(chat, (*own, *shared), row.tools, moved))
        except (ConfigError, StageError) as error:
            raise _refused(row, side, sides.retained, error) from error
    teacher, student = _without_first(*views)
    if _span_ids(teacher) != _span_ids(student):
        raise RowRefused(
            row.number,
            "the targets have other token ids behind the teacher's context than behind the "
            "student's",
            hint="The chat template renders these turns differently after the two contexts.",
        )
    return Pair(key, teacher, student)


def _without_first(teacher: View, student: View) -> tuple[View, View]:
    """Take a target that nothing predicts, the first id of a view, out of both views."""
    if not any(view.spans and view.spans[0][0] == 0 for view in (teacher, student)):
        return teacher, student
    views = []
    for view in (teacher, student):
        (start, stop), *rest = view.spans
        first = [(start + 1, stop)] if start + 1 < stop else []
        views.append(View(view.ids, (*first, *rest), view.remarks))
    return views[0], views[1]


def _span_ids(view: View) -> list[tuple[int, ...]]:
    return [view.ids[start:stop] for start, stop in view.spans]


def _refused(row: Row, side: str, retained: int, error: StageError | ConfigError) -> RowRefused:
    hint = error.hint
    if side == "student" and retained and isinstance(error, ConfigError):
        hint = "Choose student_retained_turns so that the student's view is a whole conversation."
    return RowRefused(row.number, f"the {side}'s view: {error.message}", hint=hint)


def _cut(view: View, length: int) -> View:
    spans = ((start, min(stop, length)) for start, stop in view.spans)
    return View(view.ids[:length], tuple(s for s in spans if s[0] < s[1]), view.remarks)


def _sampled_spans(
    chat: Chat, row: Row, context: ContextSettings, response_ids: Sequence[int]
) -> list[Span]:
    """Return the spans of the response that are targets, counted from its first id."""
    if context.target_content_pattern is None:
        return [(0, len(response_ids))] if response_ids else []
    ended = bool(response_ids) and response_ids[-1] in chat.end_ids
    said = response_ids[: len(response_ids) - ended]
    text = chat.decoded(said)
    chosen = _chosen(text, context)
    if chosen is None:
        return [(0, len(response_ids))]
    if not chosen:
        return []
    begins, ends = chat.decoded_places(said)
    if (ends[-1] if ends else 0) != len(text):
        raise RowRefused(row.number, "the text of a sampled answer cannot be laid over its tokens")
    spans = []
    done = 0
    for start, stop in chosen:
        first = max(done, bisect_right(ends, start))
        done = max(first, bisect_left(begins, stop))
        spans.append((first, done))
    return [span for span in spans if span[0] < span[1]]
