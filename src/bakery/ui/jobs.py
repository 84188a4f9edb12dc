"""Runs in the background: what they do, what became of them, and what to type next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from bakery.records import given_name
from bakery.store.job import GO_ON, Fetched, Job
from bakery.ui.console import lay, open_console, pairs, say, show_card, show_json
from bakery.ui.progress import duration

_STYLES = {
    "queued": "dim",
    "running": "yellow",
    "complete": "green",
    "failed": "red",
    "cancelled": "dim",
    "interrupted": "red",
}


def show_launched(job: Job, *, log: Path, as_json: bool) -> None:
    """Say what was started in the background, and how to follow, stop and fetch it."""
    if as_json:
        show_json(_data(job) | {"log": str(log)})
        return
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


def show_jobs(jobs: Sequence[Job], *, hidden: int, as_json: bool) -> None:
    """List jobs, oldest first; under each what went wrong or is to be done."""
    if as_json:
        show_json([_data(job) for job in jobs])
        return
    if not jobs:
        say("No run in the background is under way or to be fetched.")
    else:
        out = open_console()
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column("job", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("branch", overflow="fold")
        table.add_column("what", overflow="fold")
        table.add_column("how far", overflow="fold")
        for job in jobs:
            state = Text(job.state, style=_STYLES[job.state])
            table.add_row(job.id, state, job.branch, _what(job), how_far(job))
        lay(out, table)
    if hidden:
        say(f"{hidden} more: bgit jobs --all")


def show_fetched(fetched: Fetched, *, as_json: bool) -> None:
    """Say what was recorded, what still runs, what failed, and what other branches wait for."""
    if as_json:
        refused = fetched.refused
        show_json(
            {
                "branch": fetched.branch,
                "jobs": [
                    _data(job)
                    | {
                        "card": fetched.results.get(job.id, {}).get("card"),
                        "refused": refused[job.id].message if job.id in refused else None,
                    }
                    for job in fetched.jobs
                ],
                "others": [_data(job) | {"go_there": way} for job, way in fetched.others],
            }
        )
        return
    if not fetched.jobs:
        say(f"No run in the background was launched from {fetched.branch}: nothing to fetch.")
        say("What a remote has is fetched by its name: `bgit fetch origin`.")
    for job in fetched.jobs:
        result = fetched.results.get(job.id)
        if job.id in fetched.refused:
            say(f"{job.id}  not recorded  {', '.join(job.names)}")
        elif result is None:
            _say_state(job)
        else:
            _say_recorded(job, result)
    for index, (job, way) in enumerate(fetched.others):
        if not index:
            say("\non other branches:")
        say(f"  {job.id}  {job.state}  {job.branch}: `{way}`, then `bgit fetch`")


def show_cancelled(job: Job) -> None:
    """Say what became of a job that was to be stopped."""
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
        print(new.decode("utf-8", "replace"), end="", flush=True)
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


def run_data(report: Any, *, is_current: bool) -> dict[str, Any]:
    """Return what a run made, as one JSON document."""
    plan, result = report.plan, report.result or {}
    return {
        "base": plan.head.base.name,
        "parent": str(plan.head.parent) if plan.head.parent else None,
        "targets": [
            {"name": target.name, "stim_id": target.stim.id, "target_id": target.rollout.id}
            for target in plan.targets
        ],
        "bake": plan.bake_name,
        "bake_id": plan.bake.id if plan.bake else None,
        "warnings": list(plan.warnings),
        "looks": [look.as_data() for look in report.looks],
        "stimuli": report.stimuli,
        "trajectories": report.trajectories,
        "model": str(report.model) if report.model else None,
        "is_current": is_current,
        "commit": report.commit,
        **{key: result.get(key) for key in ("digest", "loss", "card", "seconds", "notes")},
    }


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
    show_card(result["card"], seconds=result.get("seconds"))
    say(f"\nTalk to it: bgit chat {str(job.model).split('/')[2]}")


def _data(job: Job) -> dict[str, Any]:
    progress = job.progress
    return asdict(job) | {
        "progress": asdict(progress) | {"percent": progress.percent} if progress else None
    }


def _what(job: Job) -> str:
    """Return what a job makes: the bake, or the targets and which of their stages."""
    names = ", ".join(given_name(name) for name in job.names)
    return names if "bake" in job.stages else f"{names} ({', '.join(job.stages)})"


def _ago(when: str) -> str:
    seconds = (datetime.now(UTC) - datetime.fromisoformat(when)).total_seconds()
    return f"{duration(max(seconds, 0.0))} ago"
