"""Where a command ends: its exit code, and what a person reads when it failed.

The only place that catches errors.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

import click

from bakery.errors import BakeryError

INTERRUPTED = 130
"""What a shell expects of a program that was stopped with Ctrl-C."""


def end(work: Callable[[], int], *, stopped: str) -> NoReturn:
    """Do the work and end the process; `stopped` says how to go on after Ctrl-C."""
    _never_fail_to_print()
    try:
        code = work()
    except BakeryError as error:
        code = _say(error.message, error.hint, error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "bgit"
        code = _say(
            error.format_message(), f"`{path} --help` shows what it takes.", error.exit_code
        )
    except click.ClickException as error:
        code = _say(error.format_message(), None, error.exit_code)
    except BrokenPipeError:  # whoever read along has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nstopped; {stopped}", err=True)
        code = INTERRUPTED
    sys.exit(code)


def show_hint(text: str) -> None:
    """Say what to do next, on stderr."""
    click.secho("hint: ", fg="cyan", nl=False, err=True)
    click.echo(text, err=True)


def _say(message: str, hint: str | None, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    if hint:
        show_hint(hint)
    return code


def _never_fail_to_print() -> None:
    """Show a sign that the terminal's encoding lacks as `?`: better than ending there."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # not every stream
