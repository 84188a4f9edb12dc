"""The figures of an evaluation: a table an axis, each with its interval and what it is of."""

from __future__ import annotations

import re

from rich.table import Table
from rich.text import Text

from bakery.evals.figures import Axis, Figure
from bakery.evals.report import EvalReport
from bakery.records import given_name
from bakery.ui.chart import number
from bakery.ui.console import lay, open_console, say_at_length, show_json
from bakery.ui.times import duration


def show_evaluation(
    report: EvalReport, *, help_at: str = "`bgit help eval`", as_json: bool = False
) -> None:
    """Print every axis, beside the model that it was compared with."""
    if as_json:
        show_json(report.as_data())
        return
    out = open_console()
    out.print(Text(report.model, style="bold green"), soft_wrap=True)
    if report.against is not None:
        out.print(Text(f"against {report.against.model}", style="dim"), soft_wrap=True)
    for axis, other in report.paired():
        _show_axis(axis, other)
    out.print()
    took = f"suite {report.suite}, {duration(report.cpu_s)} of processor time"
    out.print(Text(f"{took}; {help_at} says what each figure is", style="dim"))


def _show_axis(axis: Axis, other: Axis | None) -> None:
    out = open_console()
    out.print()
    title = Text(axis.name.capitalize(), style="bold")
    if axis.target:
        title.append(f"  {given_name(axis.target)}", style="not bold dim")
    out.print(title)
    if axis.why:
        say_at_length(f"  not measured: {axis.why}")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for figure in axis.figures:
        if _ONLY_AS_DATA.fullmatch(figure.name):
            continue
        of = _of(figure)
        table.add_row(f"  {_words(figure.name)}", _value(figure), _interval(figure), of)
        if other is not None and (its := other.figure(figure.name)) is not None:
            more = [
                text for text in (_more(figure, its), "" if _of(its) == of else _of(its)) if text
            ]
            table.add_row("    against", _value(its), _interval(its), ", ".join(more))
    lay(out, table)
    say_at_length(f"  measured on {axis.on}")


_ONLY_AS_DATA = re.compile(r"(prompted|baked|parent)_kl_\d+|.*_kl_now")
"""Figures that stand behind others: --json has them."""


def _value(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    return f"{_number(figure.value, figure)} {_UNITS.get(figure.unit, figure.unit)}".rstrip()


_UNITS = {"share": "%", "seconds": "s"}


def _number(value: float, figure: Figure) -> str:
    if figure.unit == "share":
        return f"{100 * value:.1f}"
    if figure.unit in ("points", "tokens", "MB"):
        return f"{value:.1f}"
    if figure.unit == "seconds":
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,.0f}" if figure.unit in ("words", "requests") else number(value)


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    return f"{_number(figure.low, figure)} to {_number(figure.high, figure)}"


def _more(figure: Figure, its: Figure) -> str:
    """Return how much more the model's is than the other's, with as many places as both have."""
    if its.value is None or figure.value is None:
        return ""
    mine, other = (_number(value, figure) for value in (figure.value, its.value))
    if mine == other:
        return "no difference"
    more = (figure.value - its.value) * (100 if figure.unit == "share" else 1)
    places = max(len(one.partition(".")[2]) for one in (mine, other))
    told = f"{more:+.1e}" if "e" in mine + other else f"{more:+,.{places}f}"
    return f"difference {told}"


def _of(figure: Figure) -> str:
    of = re.sub(r"^(\S+)s\b", r"\1", figure.of) if figure.n == 1 else figure.of
    return figure.why or f"n = {figure.n} {of}"


def _words(name: str) -> str:
    return name.replace("_", " ")
