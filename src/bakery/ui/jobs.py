"""Runs in the background: what they do, what became of them, and what to type next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from bakery.card import Card
from bakery.records import ModelRef, given_name
from bakery.store.job import GO_ON, Fetched, Job
from bakery.ui.console import lay, open_console, pairs, say, say_next, show_card, show_json
from bakery.ui.harmless import harmless
from bakery.ui.times import duration

if TYPE_CHECKING:
    from bakery.app.jobs import Cancelled, Jobs, Launched

_STYLES = {
    "queued": "dim",
    "running": "yellow",
    "complete": "green",
    "failed": "red",
    "cancelled": "dim",
    "interrupted": "red",
}


def show_launched(launched: Launched, *, as_json: bool) -> None:
    """Say what was started in the background, and how to follow, stop and fetch it."""
    if as_json:
        show_json(launched.as_data())
        return
    job = launched.job
    stages, names = ", ".join(job.stages), ", ".join(job.names)
    say(f"Job {job.id} is {job.state}: {stages} of {names}, on {job.branch}.\n")
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(style="dim")
    table.add_row(f"bgit jobs --follow {job.id}", "watch it; Ctrl-C stops only the watching")
    table.add_row("bgit jobs", "how far the jobs are")
    table.add_row(f"bgit cancel {job.id}", "stop it; what it made is kept")
    if "bake" in job.stages:
        table.add_row("bgit fetch", f"record it, on {job.branch}, when it is complete")
    lay(open_console(), table)


def show_jobs(found: Jobs, *, as_json: bool) -> None:
    """List jobs, oldest first; under each what went wrong or is to be done."""
    if as_json:
        show_json(found.as_data())
        return
    if not found.jobs:
        say("No background run is under way or waiting to be fetched.")
    else:
        out = open_console()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("job", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("branch", overflow="fold")
        table.add_column("what", overflow="fold")
        table.add_column("how far", overflow="fold")
        for job in found.jobs:
            state = Text(job.state, style=_STYLES[job.state])
            table.add_row(job.id, state, job.branch, what(job), how_far(job))
        lay(out, table)
    if found.hidden:
        say(f"{found.hidden} more: bgit jobs --all")


def show_fetched(fetched: Fetched, *, as_json: bool) -> None:
    """Say what was recorded, what still runs, what failed, and what other branches wait for."""
    if as_json:
        show_json(fetched.as_data())
        return
    if not fetched.jobs:
        say(f"No background run was launched from {fetched.branch}: nothing to fetch.")
        say("To fetch from a remote, name it: `bgit fetch origin`.")
    for job in fetched.jobs:
        result = fetched.results.get(job.id)
        if job.id in fetched.refused:
            say(f"{job.id}  not recorded  {', '.join(job.names)}")
        elif result is None:
            _say_state(job)
            if job.id in fetched.held_back:
                say("")
                _say_card(fetched.held_back[job.id])
        else:
            _say_recorded(job, result)
    for index, (job, way) in enumerate(fetched.others):
        if not index:
            say("\non other branches:")
        say(f"  {job.id}  {job.state}  {job.branch}: `{way}`, then `bgit fetch`")


def show_cancelled(found: Cancelled) -> None:
    """Say what became of jobs that were to be stopped."""
    if not found.jobs and not found.refused:
        say("no job is running or waiting")
    for job in found.jobs:
        _say_cancelled(job)


def _say_cancelled(job: Job) -> None:
    if job.state == "cancelled":
        say(f"job {job.id} is cancelled; what it made is kept: `bgit run --detach` goes on from it")
    else:
        say(f"job {job.id} was {job.state} before it could be stopped")


def follow(
    text: Callable[[], bytes], is_over: Callable[[], bool], wait: Callable[[], None]
) -> None:
    """Print a log as it grows, until `is_over`."""
    shown = 0
    while True:
        over = is_over()  # asked first: what is written before its end is still shown
        new = text()[shown:]
        if not over:
            new = new[: new.rfind(b"\n") + 1]
        print(harmless(new.decode("utf-8", "replace")), end="", flush=True)
        shown += len(new)
        if over:
            return
        wait()


def how_far(job: Job) -> str:
    """Return in a few words where a job stands."""
    if job.state == "running" and job.progress is None:
        return f"begun {_ago(job.began)}"
    if job.progress is not None and job.state in ("running", "interrupted", "cancelled"):
        at = job.progress
        words = f"{at.step} {at.percent} % ({at.done}/{at.total})"
        if job.state == "running" and at.left_s is not None and at.done < at.total:
            words += f", about {duration(at.left_s)} left of it"
        return words
    if job.state == "complete":
        if job.model is None:
            return f"{job.stimuli or 0} questions, {job.trajectories or 0} answers"
        return f"recorded as {job.recorded[:10]}" if job.recorded else "`bgit fetch` records it"
    if job.state == "failed":
        return job.error.splitlines()[0] if job.error else ""
    return f"since {_ago(job.created)}" if job.state == "queued" else ""


def _say_state(job: Job) -> None:
    say(f"{job.id}  {job.state}  {', '.join(job.names)}")
    if words := how_far(job):
        say(f"        {words}")
    hint = job.hint or (GO_ON if job.state == "cancelled" else "")
    for words in (job.error if job.state == "interrupted" else "", hint):
        if words:
            say(f"        {words}")
    if job.is_live:
        say(f"        `bgit jobs --follow {job.id}` watches it; fetch again when it is complete")


def _say_recorded(job: Job, result: Mapping[str, Any]) -> None:
    out = open_console()
    table = pairs()
    table.add_row("bake", Text(str(job.model), style="bold green"))
    table.add_row("commit", (job.recorded or "")[:10])
    lay(out, table)
    say("")
    _say_card(result)
    say_next(ModelRef.parse(str(job.model)), result)


def _say_card(result: Mapping[str, Any]) -> None:
    show_card(Card.from_data(result["card"]), seconds=result.get("seconds"))


def what(job: Job) -> str:
    """Return what a job makes: the bake, or the targets and which of their stages."""
    names = ", ".join(given_name(name) for name in job.names)
    return names if "bake" in job.stages else f"{names} ({', '.join(job.stages)})"


def _ago(when: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(when)).total_seconds()
    return f"{duration(max(seconds, 0.0))} ago"
