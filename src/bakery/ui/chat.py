"""A chat on the terminal, or one answer for every line of a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bakery.conversation import Answer, Conversation
from bakery.errors import BakeryError
from bakery.ui import differing
from bakery.ui.console import note, open_console, say_data, show_json_line
from bakery.ui.harmless import harmless
from bakery.ui.slash import obey
from bakery.ui.typed import Read, Typed, from_lines, from_terminal, line_editing, typed

WIDE = 100
"""Columns from which answers are laid side by side."""

Reply = Generator[tuple[str, str], None, list[Answer]]


def talk(conversation: Conversation, *, remembered: Path | None) -> None:
    """Talk with a person until they leave; `remembered` keeps what they type, None: nothing."""
    names = dict.fromkeys(voice.speaker.name for voice in conversation.voices)
    say_data(f"{', '.join(names)}: /help lists the commands, Ctrl-D leaves.")
    with line_editing(remembered):
        _listen(conversation, from_terminal)


def _listen(conversation: Conversation, read: Read) -> None:
    """Do what is typed; what goes wrong ends the answer, not the conversation."""
    while True:
        try:
            for entry in typed(read):
                try:
                    if not _do(conversation, entry, _show):
                        return
                except BakeryError as error:
                    _show_error(error)
            return
        except BakeryError as error:  # a block without an end
            _show_error(error)


def answer_lines(
    conversation: Conversation, lines: Iterable[str], *, each: bool = False, as_json: bool = False
) -> None:
    """Answer every line of a pipe on one line; what commands say goes to stderr.

    `each`: every line is a conversation of its own.
    """
    _answer(conversation, typed(from_lines(lines)), each, _as_json if as_json else _one_line)


def answer_messages(
    conversation: Conversation,
    messages: Sequence[str],
    *,
    each: bool = False,
    as_json: bool = False,
) -> None:
    """Answer messages that came with the command, as they are."""
    asked = [Typed("", message) for message in messages]
    _answer(conversation, asked, each, _as_json if as_json else _show_whole)


Show = Callable[[Conversation, str], None]


def _answer(conversation: Conversation, entries: Iterable[Typed], each: bool, show: Show) -> None:
    asked = 0
    for entry in entries:
        asked += not entry.word
        if each and not entry.word:
            conversation.clear()
        elif asked == 2 and len(conversation.voices) > 1:
            note("all questions are one conversation: --each compares each of them alone")
        if not _do(conversation, entry, show, to_stderr=True):
            return


def _do(conversation: Conversation, entry: Typed, show: Show, *, to_stderr: bool = False) -> bool:
    """Answer a question or obey a command; tell whether the chat goes on."""
    question: str | None = entry.text
    whom = conversation
    if entry.word:
        obeyed = obey(conversation, entry)
        if obeyed.leave:
            return False
        if obeyed.said:
            click.echo(harmless(obeyed.said), err=to_stderr)
        question, whom = obeyed.ask, obeyed.of or conversation
    if question is not None:
        show(whom, question)
    return True


def _as_json(conversation: Conversation, question: str) -> None:
    answers = _follow(conversation.reply(question))
    row: dict[str, object] = {"question": question}
    if len(answers) == 1:
        row |= answers[0].as_data()
    else:
        row |= {answer.label: answer.as_data() for answer in answers}
    show_json_line(row)


def _one_line(conversation: Conversation, question: str) -> None:
    answers = _follow(conversation.reply(question))
    if len(answers) > 1:
        say_data(" ".join(question.splitlines()))
    for answer in answers:
        label = f"  {answer.label:<9} " if len(answers) > 1 else ""
        say_data(label + " ".join(answer.text.splitlines()))
    _tell_cut(answers)


def _show_whole(conversation: Conversation, question: str) -> None:
    """Show answers with their lines: as they come on a terminal, else when they are there."""
    if len(conversation.voices) > 1:
        say_data(f"> {question}")
    if sys.stdout.isatty():
        _show(conversation, question)
        return
    answers = _follow(conversation.reply(question))
    for answer in answers:
        say_data(f"{answer.label}: {answer.text}" if answer.label else answer.text)
    _tell_cut(answers)


def _tell_cut(answers: Iterable[Answer]) -> None:
    for answer in answers:
        if answer.finish == "length":
            who = f" of {answer.label}" if answer.label else ""
            note(f"the answer{who} was cut after {answer.tokens} tokens")


def _show(conversation: Conversation, question: str) -> None:
    """Show answers as they come; Ctrl-C stops them."""
    out = open_console()
    reply = conversation.reply(question)
    try:
        if len(conversation.voices) > 1 and out.width >= WIDE:
            _side_by_side(conversation, reply)
        else:
            _stream(reply)
    except KeyboardInterrupt:
        click.secho(" (stopped)", dim=True)


def _stream(reply: Reply) -> None:
    """Print answers one below the other, under the name of each where there are several."""
    last = ""

    def show(label: str, piece: str) -> None:
        nonlocal last
        if label != last:
            click.echo("\n" if last else "", nl=bool(last))
            click.secho(harmless(label), bold=True)
            last = label
        say_data(piece, nl=False)

    answers = _follow(reply, show)
    cut = [answer for answer in answers if answer.finish == "length"]
    if len(answers) == 1 and cut:
        click.secho(f" [cut after {cut[0].tokens} tokens]", dim=True, nl=False)
    click.echo()
    if len(answers) > 1:
        for answer in cut:
            click.secho(f"[{harmless(answer.label)} cut after {answer.tokens} tokens]", dim=True)
        _tell_apart(answers)


def _tell_apart(answers: Sequence[Answer]) -> None:
    for summary in differing.summaries(answers):
        click.secho(harmless(summary), dim=True)


def _marked(text: str, reference: str | None) -> Text:
    """Return a text with what is not in the reference marked; None: there is none."""
    if reference is None:
        return Text(text)
    parts = differing.pieces(reference, text)
    return Text.assemble(*((part, "bold yellow" if differs else "") for part, differs in parts))


def _side_by_side(conversation: Conversation, reply: Reply) -> None:
    """Print answers in columns that fill as they come."""
    texts = {voice.label: "" for voice in conversation.voices}

    def table(done: Sequence[Answer] = ()) -> Table:
        grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), expand=True)
        marks = {a.label: f" [cut after {a.tokens} tokens]" for a in done if a.finish == "length"}
        reference = texts.get(differing.REFERENCE) if done else None
        for label in texts:
            grid.add_column(Text(label, style="bold"), ratio=1, overflow="fold")
        grid.add_row(
            *(
                Text.assemble(_marked(t.strip(), reference), (marks.get(n, ""), "dim"))
                for n, t in texts.items()
            )
        )
        return grid

    out = open_console()
    with Live(table(), console=out, refresh_per_second=8) as live:

        def show(label: str, piece: str) -> None:
            texts[label] += piece
            live.update(table())

        answers = _follow(reply, show)
        live.update(table(answers))
    if not out.is_terminal:
        click.echo()  # on a terminal Live has ended the line
    _tell_apart(answers)


def _follow(reply: Reply, show: Callable[[str, str], None] | None = None) -> list[Answer]:
    """Read a reply to its end, and return the answers; left early, it is stopped."""
    with closing(reply):
        while True:
            try:
                label, piece = next(reply)
            except StopIteration as end:
                answers: list[Answer] = end.value
                return answers
            if show is not None:
                show(label, piece)


def _show_error(error: BakeryError) -> None:
    click.secho("error: ", fg="red", bold=True, nl=False)
    click.echo(harmless(error.message))
    if error.hint:
        click.echo(harmless(f"hint: {error.hint}"))
