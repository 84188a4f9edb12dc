"""`bgit status` on one page: where the repository stands, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from bakery.card import Card
from bakery.repo.look.progress import StageStatus
from bakery.repo.look.status import ADDED, Status
from bakery.ui import verdict
from bakery.ui.chart import number
from bakery.ui.console import (
    MISSING_WEIGHTS,
    arrow,
    lay,
    open_console,
    pairs,
    say,
    say_at_length,
    show_json,
)
from bakery.ui.times import duration

CHAIN_SHOWN = 4
"""Earlier bakes that are named; `bgit models` lists them all."""

STATES = {
    "not_started": ("not started", "dim"),
    "running": ("running", "cyan"),
    "partial": ("partial", "yellow"),
    "failed": ("failed", "red"),
    "complete": ("complete", "green"),
}
"""The states of a stage in words, and in a colour."""
_UNITS = {"stim": "questions", "rollout": "answers", "bake": "steps"}


def show_status(status: Status, *, as_json: bool = False) -> None:
    """Print everything that `bgit status` knows, and the next command."""
    if as_json:
        show_json(status.as_data())
        return
    out = open_console()
    lay(out, _repository(status, arrow(out)))
    if status.stages:
        say("")
        lay(out, _stages(status))
    if status.parent_problem:
        say_at_length(f"\nno bake can start from here:\n{status.parent_problem}")
    if problem := status.draft_problem or status.problem:
        say_at_length(f"\n{_whose(status)} cannot be run:\n{problem}")
    for stage in status.stages:
        if stage.error:
            say_at_length(f"\n{stage.stage} failed: {stage.error}")
    for index, warning in enumerate(status.warnings):
        say_at_length(f"warning: {warning}" if index else f"\nwarning: {warning}")
    for change in status.changes:
        say(f"\n{change}" if change == status.changes[0] else change)
    if status.pending:
        say_at_length(f"it would make: {', '.join(status.pending)}")
    for job in status.jobs:
        say(f"\njob {job.id} is {job.state} on {job.branch}: `bgit jobs --follow {job.id}`")
    for job in status.fetchable:
        say(f"\njob {job.id} is complete: `bgit fetch` on {job.branch} records {job.model}")
    for short in status.refused:
        say_at_length(
            f"\n{status.unrecorded} is not recorded: it falls short of the gate's {short}"
        )
    for branch in status.waiting:
        say(f"\na finished bake waits to be recorded on {branch}")
    say(f"\nnext: {status.next}")


def changed_lines(before: Status | None, now: Status) -> Iterator[str]:
    """Yield a line for each thing that is another one than at the last look."""
    old = {(stage.stage, stage.name): stage for stage in before.stages} if before else {}
    for stage in now.stages:
        was = old.get((stage.stage, stage.name))
        if was is None or (was.state, was.done) != (stage.state, stage.done):
            word, _ = STATES[stage.state]
            parts = [f"{stage.stage} {stage.name}: {word}", how_much(stage), how_long(stage)]
            yield ", ".join(part for part in parts if part)
    if before is None or before.parent != now.parent:
        yield f"model: {now.parent or now.base.name}"


def _repository(status: Status, sign: str) -> Table:
    table = pairs()
    where = f"on {status.branch}" if status.branch else "no branch (HEAD is detached)"
    table.add_row("repository", f"{status.repository}, {where}")
    table.add_row("base", f"{status.base.name}  {status.base.digest[:16]}".rstrip())
    current = str(status.parent or status.former_parent or "")
    about = "nothing baked yet" if status.latest is None else "the base model"
    current = current or f"{status.base.name} ({about})"
    table.add_row("model", Text(current, style="bold"))
    if status.latest is not None:
        table.add_row("latest", f"{status.latest} (not the current one)")
    if status.parent is not None and not status.has_weights:
        table.add_row("weights", Text("not in this clone's store", style="yellow"))
        table.add_row("", MISSING_WEIGHTS)
    if len(status.chain) > 1:
        names = [bake.base_name for bake in status.chain[-CHAIN_SHOWN:]]
        more = ["..."] if len(status.chain) > CHAIN_SHOWN else []
        table.add_row("baked from", f" {sign} ".join([status.base.name, *more, *names]))
    if (found := _card(status).verdict) is not None:
        table.add_row("verdict", verdict.line(found))
    joined = status.last.part("joined") if status.last else None
    if joined and (told := verdict.of_joined(joined)) is not None:
        table.add_row("verdict", told)
    if waived := _allowed(status):
        table.add_row("allowed", waived)
    for at, line in enumerate(_result(status, sign)):
        table.add_row("" if at else "its card", line)
    if status.commented:
        table.add_row("input.yml", f"{', '.join(status.commented)} commented out")
    table.add_row("store", f"{status.store}  ({size(status.store_bytes)})")
    return table


def _card(status: Status) -> Card:
    return Card.from_data((status.last.data.get("card") if status.last else None) or {})


def _allowed(status: Status) -> str:
    """Return what the current model was recorded in spite of; "": nothing was waived for it."""
    data = status.last.data if status.last else {}
    short = [f"falls short of the gate's {told}" for told in data.get("gate") or ()]
    others = [name for name in data.get("allowed") or () if name != "gate" or not short]
    return "; ".join([*short, *others])


def _result(status: Status, sign: str) -> list[str]:
    data = status.last.data if status.last else {}
    card, loss = _card(status), data.get("loss") or {}
    lines = []
    if card.kl_after is not None:
        line = f"KL {number(card.kl_before)} {sign} {number(card.kl_after)} nats per token"
        closed = card.gap_closed
        lines.append(line if closed is None else f"{line}, gap closed {100 * closed:.1f} %")
    if loss.get("last") is not None and loss.get("first") is not None:
        lines.append(f"loss {number(loss['first'])} {sign} {number(loss['last'])}")
    return lines


def _stages(status: Status) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold", style="dim")
    for stage in status.stages:
        word, style = STATES[stage.state]
        state = Text(word, style=style)
        table.add_row(stage.stage, state, how_much(stage), how_long(stage), stage.name)
    return table


def how_long(stage: StageStatus) -> str:
    """Return what a stage took, or still takes."""
    if stage.seconds is not None:
        return duration(stage.seconds)
    return "" if stage.left_s is None else f"{duration(stage.left_s)} left"


def how_much(stage: StageStatus) -> str:
    """Return how much of a stage is done, in what it makes."""
    is_whole = stage.state == "complete" or stage.expected is None
    unit = _UNITS[stage.stage]
    if (stage.done if is_whole else stage.expected) == 1:
        unit = unit.removesuffix("s")
    if is_whole:
        return f"{stage.done} {unit}" if stage.done else ""
    loss = "" if stage.loss is None else f", loss {number(stage.loss)}"
    percent = f" ({stage.percent} %)" if stage.done else ""
    return f"{stage.done} of {stage.expected} {unit}{percent}{loss}"


def _whose(status: Status) -> str:
    """Return which input.yml has the problem that is shown."""
    if status.draft_problem:
        return "input.yml in the folder"
    return "input.yml" if status.change in (None, ADDED) else "the input.yml that was added"


def size(count: int) -> str:
    """Return a number of bytes as people say it."""
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
