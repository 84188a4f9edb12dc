"""What commands answer: tables, trees and cards on a terminal, plain text in a pipe, or JSON.

Deciding what is true is done below; here it is only laid out.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

import click
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from bakery.brief import brief
from bakery.card import FEWEST_STIMULI, Card
from bakery.plain import document
from bakery.records import ModelRef, given_name
from bakery.repo.files.names import ABOUT
from bakery.ui import covered, narrow, verdict
from bakery.ui.chart import number
from bakery.ui.harmless import HarmlessConsole, harmless, harmless_json
from bakery.ui.progress import WARNING, noted
from bakery.ui.times import duration

if TYPE_CHECKING:
    from bakery.app.drafts import Template
    from bakery.app.init import Made
    from bakery.app.revert import Reverted
    from bakery.app.run import RunReport

PIPE_WIDTH = 1000
"""Nothing is wrapped or cut in a pipe: programs read it."""

MISSING_WEIGHTS = (
    "`bgit pull --weights-only` fetches them, `bgit import DIR` copies them, `bgit reproduce` "
    "makes them again"
)
"""How weights that are not here come here."""

PAGE_WIDTH = 80
"""Where text is meant to be read as a page, terminal or not."""

QUESTION_ROOM = 36
"""Characters of a question that a card shows."""


def say(text: str) -> None:
    """Print text as it is, without wrapping it."""
    open_console().print(text, soft_wrap=True)


def note(text: str) -> None:
    """Announce something beside the answer, on stderr."""
    print(_between_words(noted(harmless(text)), sys.stderr), file=sys.stderr)


def say_at_length(text: str) -> None:
    """Print sentences: on a terminal wrapped between words, in a pipe as they are."""
    print(_between_words(harmless(text), sys.stdout))


def _between_words(text: str, stream: TextIO) -> str:
    """Return text wrapped for a terminal, further lines indented; names stay whole."""
    if not stream.isatty():
        return text
    return narrow.between_words(text, HarmlessConsole(file=stream).width)


def say_data(text: str, *, nl: bool = True) -> None:
    """Print text of others, unwrapped."""
    click.echo(harmless(text), nl=nl)


def say_file(text: str) -> None:
    """Print what a file says: byte for byte where it becomes a file again, else harmless."""
    print(text if _is_file(sys.stdout) else harmless(text), end="", flush=True)


def _is_file(stream: TextIO) -> bool:
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):  # a stream of Python's own, or closed
        return False


def show_json(value: Any) -> None:
    """Print data as one JSON document; a model's name is its full name."""
    print(harmless_json(json_text(value)))


def json_text(value: Any) -> str:
    """Return data as the JSON document that `--json` prints."""
    return json.dumps(document(value), indent=2, ensure_ascii=False)


def show_json_line(value: Any) -> None:
    """Print a JSON document as a line of its own, at once: one of many."""
    print(harmless_json(json.dumps(document(value), ensure_ascii=False)), flush=True)


def show_created(made: Made) -> None:
    """Say what `bgit init` made, and what comes next."""
    state, draft = made.repo.state(), made.draft
    named = " ".join(map(shlex.quote, draft))
    edit = f"edit {' '.join(shlex.quote(path) for path in draft if path != ABOUT)}"
    if ABOUT in draft:
        edit += f"   ({ABOUT} says what to expect)"
    if len(draft) == 1:
        edit = f"{edit:<28}(it holds an example to start from)"
    out = open_console()
    where = f"in {made.folder}, on {state.base.name}"
    out.print(f"Made {state.owner}/{state.name} {where}.", soft_wrap=True)
    out.print("\nNext:")
    for line in (
        f"cd {shlex.quote(str(made.folder))}",
        edit,
        f"bgit add {named}",
        'bgit commit -m "What is baked in, and why"',
        "bgit run stim rollout bake",
    ):
        out.print(f"  {line}", soft_wrap=True)


def show_templates(templates: Sequence[Template]) -> None:
    """Print the gallery that `bgit init --template` takes a name from."""
    table = pairs()
    for template in templates:
        table.add_row(template.name, template.what)
    lay(open_console(), table)


def show_run(report: RunReport, *, as_json: bool = False) -> None:
    """Say what a run found or made: counts, the model, its card, the commit."""
    if as_json:
        show_json(report.as_data())
        return
    out = open_console()
    if report.plan.is_empty:
        model = report.plan.head.parent or report.plan.head.base.name
        say(f"Nothing to run: input.yml configures nothing. The model is {model}.")
        say("For the next bake write input.yml, then `bgit add input.yml` and `bgit commit`.")
        return
    if report.helped:
        say("This machine has trained along. The bake is recorded on the first (--node-rank 0).")
        return
    table = pairs()
    if report.stimuli is not None:
        table.add_row("stim", f"{report.stimuli} questions")
    if report.trajectories is not None:
        table.add_row("rollout", f"{report.trajectories} answers")
    if report.model is not None:
        table.add_row("bake", Text(str(report.model), style="bold green"))
        unmade = "not recorded" if report.refused else "recorded before"
        table.add_row("commit", report.commit[:10] if report.commit else unmade)
    lay(out, table)
    if report.result is not None and report.card is not None:
        out.print()
        show_card(report.card, seconds=report.result.get("seconds"))
        for text in report.result.get("notes", ()):
            if text.startswith(WARNING):
                out.print(f"\n{harmless(text)}", markup=False)
    if report.model is not None and report.refused is None:
        say_next(report.model, report.result or {})


def say_next(model: ModelRef, result: Mapping[str, Any]) -> None:
    """Say what to do with a new model: what learnt made-up answers is nobody to talk to."""
    if "backend" in result:
        say(f"\nIt learnt made-up answers: `bgit revert {model.bake}` takes it back.")
    else:
        say(f"\nTalk to it: bgit chat {model.bake}")


def show_reverted(found: Reverted) -> None:
    """Say which bakes were taken back, and where the next one starts."""
    for model in found.models:
        say(f"took back {model}")
    say(f"the model is now {found.model or found.base}  (commit {found.commit[:10]})")


def show_moved(before: Any, now: Any) -> None:
    """Say what the model is now, where git made it another one."""
    if now.parent != before.parent:
        say(f"the model is now {now.parent or now.base.name}")


def show_card(
    card: Card, *, model: str | None = None, seconds: Mapping[str, float] | None = None
) -> None:
    """Print what a bake's card says: is the baked model the prompted one?"""
    out = open_console()
    if model:
        out.print(Text(model, style="bold green"), soft_wrap=True)
    show_verdict(out, card)
    if card.verdict is not None:
        out.print()
    table = pairs()
    for label, value in card_rows(card, seconds or {}, arrow_sign=arrow(out)):
        table.add_row(label, value)
    lay(out, table)


def show_verdict(out: Console, card: Card) -> None:
    """Print the first line of a card, and the worst answers; nothing where nobody looked."""
    if card.verdict is not None:
        out.print(verdict.line(card.verdict), soft_wrap=not out.is_terminal)
    if card.side_by_side:
        lay(out, verdict.answers(card.side_by_side))


def card_rows(
    card: Card, seconds: Mapping[str, float], *, arrow_sign: str = "→"
) -> list[tuple[str, str]]:
    """Return a card as (label, text) pairs; percentages only where enough was held out."""
    rows = []
    figures = card.verdict.figures if card.verdict is not None else {}
    if alike := verdict.alike(figures):
        rows.append(("answered as prompted", alike))
        if isinstance(fresh := figures.get("about_the_prompt"), int):
            rows.append(("", f"{fresh} of them added, about what the prompt says"))
    if card.kl_after is not None:
        change = f"{number(card.kl_before)} {arrow_sign} {number(card.kl_after)} nats per token"
        rows.append(("KL to the prompted teacher", change))
    for label, share, unit, name in (
        ("gap closed", card.gap_closed, "%", "gap_closed"),
        ("same first choice", card.top1_agreement, "% of tokens", "top1_agreement"),
    ):
        if share is not None and not card.has_few:
            between = verdict.interval(figures, name)
            rows.append((label, f"{100 * share:.1f} {unit}{between}"))
    for worst in card.furthest[:1]:
        rows.append(
            (
                "furthest held-out one" if card.held_out else "furthest",
                f"{number(worst.kl_after)} on {_brief(worst.question)}",
            )
        )
    rows += covered.rows(card.coverage)
    rows += [
        ("prompt tokens saved", _saved(card)),
        ("measured on", _measured_on(card.held_out, card.tokens)),
    ]
    if card.has_few:
        rows.append(("", f"n < {FEWEST_STIMULI}: no percentages"))
    for name, part in card.targets.items():
        rows.append((given_name(name), _of_target(part, arrow_sign)))
    if seconds:
        rows.append(("time", ", ".join(f"{stage} {duration(s)}" for stage, s in seconds.items())))
    return rows


def _saved(card: Card) -> str:
    """Return what a request no longer sends, and what it still does."""
    if card.cut_prompt:
        return "not known: the server read only a part of the prompt"
    said = f"{card.prompt_tokens_saved:.0f} per request"
    if not card.prompt_tokens_left:
        return said
    what = "the template's own system prompt" if card.left_by_template else "the student prompt"
    return f"{said} ({card.prompt_tokens_left:.0f} remain: {what})"


def _of_target(card: Card, arrow_sign: str) -> str:
    """Return one target's card in a line; what an anchor tells is how far the bake drifted."""
    if card.kl_after is None:
        return "nothing held out"
    after = number(card.kl_after)
    word = f"; {card.verdict.word}" if card.verdict is not None else ""
    said = f"KL {number(card.kl_before)} {arrow_sign} {after}"
    if card.anchor:
        said = f"an anchor: drifted by {after}"
    if card.gap_closed is not None:
        said += f", gap closed {100 * card.gap_closed:.1f} %"
    if not card.held_out:
        return f"{said}, on what was learnt{word}"
    return f"{said}, on {card.held_out} question{'s' if card.held_out != 1 else ''}{word}"


def _brief(question: str) -> str:
    """Return a question in quotes, in as much of a line as a card has room for."""
    return f'"{brief(question, QUESTION_ROOM)}"'


def _measured_on(held_out: int, tokens: int) -> str:
    if tokens and not held_out:
        return f"what was learnt, {tokens} tokens: nothing is held out"
    return f"{held_out} held-out question{'s' if held_out != 1 else ''}" + (
        f", {tokens} tokens" if tokens else ""
    )


def open_console(*, width: int | None = None) -> Console:
    """Return the console for stdout as it is now (a test or a caller may have redirected it)."""
    terminal = sys.stdout.isatty()
    return HarmlessConsole(width=width if terminal or width else PIPE_WIDTH)


def lay(out: Console, table: RenderableType) -> None:
    """Print a table; in a pipe without the blanks that fill its last column.

    On a terminal that it would not fit on, in lines that break no name.
    """
    if sys.stdout.isatty():
        if isinstance(table, Table) and narrow.breaks(table, out.width):
            for line in narrow.lines(out, table):
                out.print(line, soft_wrap=True)
        else:
            out.print(table)
        return
    rows = narrow.plain(table, out.width) if isinstance(table, Table) else None
    if rows is not None:
        print("\n".join(map(harmless, rows)))
        return
    with out.capture() as capture:
        out.print(table)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))


def pairs() -> Table:
    """Return a table of labels and values, without lines."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def is_unicode(out: Console) -> bool:
    """Tell whether the terminal's encoding has more than ASCII."""
    return not out.options.ascii_only


def arrow(out: Console) -> str:
    """Return an arrow that the terminal can show."""
    return "→" if is_unicode(out) else "->"
