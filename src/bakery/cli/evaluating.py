"""The options that `bgit eval` and `bakery eval` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from bakery.cli.said import SAID


def evaluation_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what says how much is measured, on what, and in which form it is printed."""
    options: list[Any] = [
        click.option(
            "--suite",
            default="quick",
            metavar="NAME",
            help="How much: quick, the default, or full (more questions, longer answers).",
        ),
        click.option(
            "--only", multiple=True, metavar="AXIS", help="Measure this alone; repeatable."
        ),
        click.option(
            "--against", type=SAID, metavar="MODEL", help="Put another model's figures beside."
        ),
        click.option(
            "--limit",
            type=click.IntRange(1),
            metavar="N",
            help="Ask at most so many questions each.",
        ),
        click.option(
            "--neutral",
            type=SAID,
            metavar="FILE|ID",
            help="Questions where the prompt should not matter.",
        ),
        click.option(
            "--ifeval",
            type=SAID,
            metavar="FILE|ID",
            help="Instructions with checks, in IFEval's form.",
        ),
        click.option(
            "--canary", metavar="TEXT", help="A secret of the prompt that must not come out."
        ),
        click.option(
            "--again", is_flag=True, help="Measure anew what was measured in the same way."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON."),
    ]
    for option in reversed(options):
        command = option(command)
    return command
