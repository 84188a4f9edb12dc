"""What a chain is on another base: `bgit rebase --base-model`, before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.card import Card
from bakery.repo.look.forecasts import Forecast
from bakery.ui import verdict
from bakery.ui.chart import number
from bakery.ui.check import cost_rows, count_of, writing_of
from bakery.ui.console import arrow, lay, note, open_console, pairs, say, show_json

if TYPE_CHECKING:
    from bakery.app.rebase import Foreseen, Rebased
    from bakery.repo.files.recipe import RecordedBake


def show_rebased(found: Rebased, *, as_json: bool = False) -> None:
    """Print the cards of every bake on both bases, and what is the current model now."""
    if as_json:
        show_json(found.as_data())
        return
    out = open_console()
    sign = arrow(out)
    say(f"base   {found.before.name} {sign} {found.base.name}")
    for moved in found.bakes:
        say("")
        names = f"{moved.before.model.bake} {sign} {moved.after.model.bake}"
        out.print(Text(names, style="bold"), soft_wrap=True)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in ("target", "", "KL to the prompted", "closed", "alike", "verdict"):
            table.add_column(column, no_wrap=True)
        for side in moved.sides:
            table.add_row(side.target, "before", *_cells(side.before, sign))
            table.add_row("", "after", *_cells(side.after, sign))
        lay(out, table)
    say("")
    _show_left_out(found.left_out)
    if found.commit is not None:
        model = found.model or f"the base model {found.base.name}"
        say(f"the model is now {model}  (commit {found.commit[:10]})")
        say("`git reset --hard HEAD~1` takes all of it back; what was before stays in the store.")


def show_foreseen(found: Foreseen, *, as_json: bool = False) -> None:
    """Print what would be made of each bake, and what all of it would take."""
    if as_json:
        show_json(found.as_data())
        return
    out = open_console()
    sign = arrow(out)
    say(f"base   {found.before.name} {sign} {found.base.name}")
    for one, forecast in found.bakes:
        say("")
        after = one.bake.name if one.is_certain else f"{one.before.base_name}_…"
        out.print(Text(f"{one.before.name} {sign} {after}", style="bold"), soft_wrap=True)
        lay(out, _made_of(forecast))
    say("")
    lay(out, _cost(found))
    say("")
    _show_left_out(found.left_out)
    for told in found.notes:
        note(told)
    if not all(one.is_certain for one, _ in found.bakes):
        note("an id with … follows from how many steps the bakes below take")


def _made_of(forecast: Forecast) -> Table:
    table = pairs()
    for target in forecast.targets:
        table.add_row("questions", count_of(target.questions, target.stim))
        for one in target.generators:
            table.add_row("", Text(writing_of(one), style="dim"))
        table.add_row("answers", count_of(target.answers, target.rollout))
    if forecast.bake is not None:
        known = forecast.bake.steps is not None
        steps = count_of(forecast.bake.steps, forecast.bake.state)
        table.add_row("steps", steps if known else "not known before the answers are")
    return table


def _cost(found: Foreseen) -> Table:
    table = pairs()
    for label, words, is_quiet in cost_rows(found.cost):
        table.add_row(label, Text(words, style="dim") if is_quiet else words)
    return table


def _cells(card: Card | None, sign: str) -> tuple[str | Text, ...]:
    """Return what a card says, in the order of the columns."""
    if card is None or card.kl_before is None or card.kl_after is None:
        return ("-", "-", "-", "-")
    closed = "-" if card.gap_closed is None else f"{100 * card.gap_closed:.1f} %"
    alike = "-" if card.top1_agreement is None else f"{100 * card.top1_agreement:.1f} %"
    if card.anchor:
        word: str | Text = "holds the parent"
    else:
        word = verdict.word(card.verdict) if card.verdict else "-"
    return (f"{number(card.kl_before)} {sign} {number(card.kl_after)}", closed, alike, word)


def _show_left_out(bakes: Sequence[RecordedBake]) -> None:
    for bake in bakes:
        note(
            f"{bake.name} is beside the chain and not made anew: it stays on the base before, and "
            "in git's history"
        )
