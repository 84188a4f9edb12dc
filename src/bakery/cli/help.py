"""`bgit help`: the page of a command; of a verb of git's, git's page."""

from __future__ import annotations

import sys

import click

from bakery.cli import manual, passthrough
from bakery.cli.raw import RawCommand, arguments
from bakery.errors import ConfigError
from bakery.spelling import nearest


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[VERB]")
@click.pass_context
def help(context: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command with examples, or a verb of git as git does."""
    group = context.find_root().command
    assert isinstance(group, click.Group)
    if not words:
        click.echo(context.find_root().get_help())
        return
    (name, *more) = words
    command = None if more else group.get_command(context, name)
    if command is not None:
        text = manual.page(name, command)
        if sys.stdout.isatty():
            click.echo_via_pager(text)
        else:
            click.echo(text, nl=False)
        return
    if len(words) == 1 and not name.startswith("-") and not passthrough.is_known(name):
        near = nearest(name, [*group.list_commands(context), *passthrough.verbs()])
        raise ConfigError(
            f"there is no verb {name!r}, neither in bgit nor in git",
            hint=f"did you mean `{near[0]}`?" if near else "`bgit help` lists those of bgit.",
        )
    context.exit(passthrough.hand_to_git(["help", *arguments(context)]))
