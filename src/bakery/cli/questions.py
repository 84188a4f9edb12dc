"""The options that `bgit stim` and `bgit rollout` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bakery.cli.said import Place


def row_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --target, --limit, --offset, --count, --json and --out."""
    options: list[Any] = [
        click.option("--target", "name", metavar="NAME", help="Show another target."),
        click.option(
            "--limit", "-n", "-l", type=click.IntRange(min=1), metavar="N", help="Show at most N."
        ),
        click.option(
            "--offset", type=click.IntRange(min=0), default=0, metavar="N", help="Skip the first N."
        ),
        click.option("--count", "-c", is_flag=True, help="Print only how many there are."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
        click.option(
            "--out",
            type=Place(),
            metavar="FILE",
            help="Write them to a file: .json, .jsonl (a row each), .csv, or text.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
