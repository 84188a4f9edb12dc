"""`bgit version`: of bgit, and of the git that it hands verbs to."""

from __future__ import annotations

import sys

import click

from bakery import __version__
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, arguments


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="")
@click.pass_context
def version(context: click.Context, words: tuple[str, ...]) -> None:
    """Show the versions of bgit and git.

    With options it is git's: `bgit version --build-options`.
    """
    if not words:
        click.echo(f"bgit {__version__}")
        sys.stdout.flush()  # git writes to the same place by itself
    context.exit(passthrough.hand_to_git(["version", *arguments(context)]))
