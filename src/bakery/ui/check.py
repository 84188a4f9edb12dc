"""What a plan would make and take, on one page: `bgit check` and `bgit run --dry-run`."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.card import FEWEST_STIMULI
from bakery.repo.look.forecasts import BakeForecast, Cost, TargetForecast, Writing
from bakery.repo.look.progress import StageStatus
from bakery.ui.console import arrow, lay, open_console, pairs, say, show_json
from bakery.ui.status import size
from bakery.ui.times import duration

if TYPE_CHECKING:
    from bakery.app.check import Checked

_THERE = {
    "complete": ("there already", "green"),
    "running": ("being made now", "yellow"),
    "partial": ("begun", "yellow"),
    "failed": ("failed", "red"),
    "not_started": ("to do", "dim"),
}


def show_check(checked: Checked, *, as_json: bool = False) -> None:
    """Print every name that a plan fixes, what is there of it, and what the rest would take."""
    forecast, source = checked.forecast, checked.source
    if as_json or forecast is None:
        show_json(checked.as_data())
        return
    out = open_console()
    if forecast.is_empty:
        say(f"{source} is valid, and configures nothing.")
        _say_warnings(forecast.warnings)
        return
    say(f"{source} is valid.")
    sign = arrow(out)
    for target in forecast.targets:
        say("")
        lay(out, _target(target, sign))
    if forecast.bake is not None:
        say("")
        lay(out, _bake(forecast.bake, sign))
    say("")
    lay(out, _cost(forecast.cost))
    _say_warnings(forecast.warnings)
    for look in checked.looks or ():
        say(f"\n{look.text()}")
        for warning in look.warnings:
            say(f"warning: {warning}")
        if look.obeys_in_nothing:
            say("A run would stop here: `bgit run --allow teacher` goes on.")
    for conflict in checked.conflicts:
        say(f"\nwarning: {conflict.warning}")
    for why in checked.others:
        say(f"\nnot looked at: {why}")


def _say_warnings(warnings: Sequence[str]) -> None:
    for index, warning in enumerate(warnings):
        say(f"warning: {warning}" if index else f"\nwarning: {warning}")


def _target(target: TargetForecast, sign: str) -> Table:
    table = pairs()
    table.add_row("target", Text(target.name, style="bold"))
    table.add_row("prompts", f"{target.teacher} {sign} {target.student}")
    if target.template_prompt is not None:
        text, tokens = target.template_prompt
        counted = f", {_many(tokens, 'token')} of each request" if tokens else ""
        said = f'the template itself still writes "{text}"{counted}'
        table.add_row("", Text(said, style="dim"))
    table.add_row("questions", count_of(target.questions, target.stim))
    for writing in target.generators:
        table.add_row("", Text(writing_of(writing), style="dim"))
    each = f"{target.per_question} to each question, up to {target.max_tokens} tokens"
    table.add_row("answers", count_of(target.answers, target.rollout))
    table.add_row("", Text(f"{each}, by {_short(target.answered_by)}", style="dim"))
    return table


def writing_of(writing: Writing) -> str:
    """Return how many questions a generator is asked for, and who writes them."""
    wanted = "all" if writing.wanted is None else str(writing.wanted)
    share = "" if writing.share is None else f" ({100 * writing.share:.0f} %)"
    asked = f", not {writing.asked}" if writing.asked else ""
    return f"{wanted}{share} {writing.type}, from {writing.writer}{asked}"


def _bake(bake: BakeForecast, sign: str) -> Table:
    table = pairs()
    table.add_row("bake", Text(bake.name, style="bold"))
    table.add_row("on", _short(bake.parent))
    for number, (name, share) in enumerate(bake.mix):
        why = ", replayed" * (name in bake.replayed) + ", holds the parent" * (name in bake.anchors)
        table.add_row("" if number else "mix", f"{100 * share:.0f} % {name}{why}")
    steps = "steps: not known before the questions are" if bake.steps is None else ""
    if bake.steps is not None and bake.global_batch is not None:
        about = "" if bake.state.state == "complete" else "about "
        steps = f"{about}{_many(bake.steps, 'step')} of {_many(bake.global_batch, 'answer')}"
    epochs = _many(bake.epochs, "epoch")
    if bake.most_epochs > bake.epochs:
        steps += f"; then until it holds, at most {bake.most_epochs} epochs"
    table.add_row("training", Text.assemble(f"{epochs}, {steps}  ", _there(bake.state)))
    settings = f"rank {bake.r}, alpha {bake.lora_alpha:g}, learning rate {bake.learning_rate:g}"
    table.add_row("", Text(f"{settings}, {bake.loss}, seed {bake.seed}", style="dim"))
    if bake.held_out is not None:
        few = f": fewer than {FEWEST_STIMULI}, so no percentages" * (bake.held_out < FEWEST_STIMULI)
        table.add_row("measured on", f"{_many(bake.held_out, 'held-out question')}{few}")
        for text in _few(bake.kept):
            table.add_row("", Text(text, style="dim"))
    return table


SHOWN, ROOM = 5, 60
"""Held-out questions that are shown, and the signs that each may take."""


def _few(questions: Sequence[str]) -> list[str]:
    """Return the first of some questions, each as a line."""
    lines = [textwrap.shorten(question, ROOM, placeholder=" …") for question in questions[:SHOWN]]
    left = len(questions) - len(lines)
    return [*lines, f"and {left} more: --json names all"] if left else lines


def _cost(cost: Cost) -> Table:
    table = pairs()
    for label, words, is_quiet in cost_rows(cost):
        table.add_row(label, Text(words, style="dim") if is_quiet else words)
    return table


def cost_rows(cost: Cost) -> Iterator[tuple[str, str, bool]]:
    """Yield what is still to be made in words: a label, how much, and whether that is an aside."""
    left = {stage: seconds for stage, seconds in cost.seconds.items() if seconds != 0}
    if not left and not cost.tokens:
        yield "left to do", "nothing: all of it is in the store", False
        return
    unknown = "unknown until the first run"
    tokens = unknown
    if cost.tokens is not None:
        tokens = f"{'at most' if cost.tokens_are_bound else 'about'} {cost.tokens:,} to sample"
    yield "tokens", tokens, False
    disk = unknown if cost.disk_bytes is None else f"about {size(cost.disk_bytes)}"
    yield "disk", disk, False
    times = [
        f"{stage} {'unknown' if seconds is None else duration(seconds)}"
        for stage, seconds in left.items()
    ]
    known = any(seconds is not None for seconds in left.values())
    yield "time", f"about {', '.join(times)}" if known else unknown, False
    for stage, seconds in cost.most_seconds.items():
        yield "", f"{stage} up to about {duration(seconds)}, if it takes every round", False
    if cost.measured_on and len(cost.worked_out) < len(left):
        yield "", f"by {_many(cost.measured_on, 'result')} of this store", True
    if cost.worked_out:
        by = f"{', '.join(cost.worked_out)} by the size of the base and the speed of this machine"
        yield "", by, True
    if cost.memory_bytes:
        most = [f"{stage} {size(taken)}" for stage, taken in cost.memory_bytes.items()]
        yield "memory", f"about {', '.join(most)}", False


def _many(count: int, unit: str) -> str:
    return f"{count} {unit}{'s' * (count != 1)}"


def _short(model: str) -> str:
    """Return a model's name without its owner and repository, as every command takes it."""
    return "/".join(model.split("/")[-2:]) if model.count("/") == 3 else model


def count_of(count: int | None, stage: StageStatus) -> Text:
    """Return how many there are to be, and what is there of them."""
    return Text.assemble(f"{'all there are' if count is None else count}  ", _there(stage))


def _there(stage: StageStatus) -> tuple[str, str]:
    word, style = _THERE[stage.state]
    if stage.done and stage.state not in ("complete", "not_started"):
        word = f"{word}, {stage.done} there"
    return word, style
