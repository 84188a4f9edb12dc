"""Whose rows `bgit stim` and `bgit rollout` show, and the options they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from bakery.errors import StageError
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the store keeps one target's questions and answers."""

    stim: Path
    target: Path


def current() -> Folders:
    """Return the folders of the configured target; after a bake, of the one that was baked."""
    repo = ModelRepo.find()
    plan = repo.plan()
    if plan.targets:
        target = plan.targets[0]
        return Folders(repo.store.stim(target.stim.id), repo.store.target(target.rollout.id))
    bakes = repo.bakes()
    if not bakes:
        raise StageError(
            "no target is configured, and nothing has been baked yet",
            hint="Fill in PROMPT and TARGET in input.yml, then `bgit add input.yml`.",
        )
    last = bakes[-1]
    console.note(f"input.yml names no target; these are of {last.name}")
    used = last.data["targets"][-1]
    return Folders(repo.store.stim(used["stim_id"]), repo.store.target(used["id"]))


def row_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --limit, --count and --json."""
    options: list[Any] = [
        click.option(
            "--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Show only the first N."
        ),
        click.option("--count", is_flag=True, help="Print only how many there are."),
        click.option("--json", "as_json", is_flag=True, help="Print them as JSON."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
