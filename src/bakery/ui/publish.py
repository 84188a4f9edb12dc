"""What `bgit publish` is about to send, the question whether it may, and what became of it."""

from __future__ import annotations

import sys

import click
from rich.text import Text

from bakery.app.publish import Publication, Published
from bakery.ui.console import lay, note, open_console, pairs, say, show_json
from bakery.ui.status import size


def show_publication(found: Publication) -> None:
    """Print all that goes out: files, prompts, the card with its examples and figures."""
    table = pairs()
    table.add_row("model", Text(found.exported.weights.called, style="bold green"))
    table.add_row("to", f"{found.place.url}{_branch(found)}")
    table.add_row("who sees it", _who(found))
    table.add_row("licence", found.terms.licence or "not known")
    if found.replaces:
        table.add_row("in place of", f"{found.replaces}; its history keeps it")
    lay(open_console(), table)
    say("\nFiles:")
    for one in found.files:
        told = "is there" if one.is_there else size(one.size)
        say(f"  {told:>10}  {one.name}")
    for name in found.gone:
        say(f"  {'goes':>10}  {name}")
    if found.told.prompts:
        say("\nPrompts, in the card and in recipe.yml:")
    for name, text in found.told.prompts:
        say(f"  {name}:")
        say("\n".join(f"    {line}" for line in text.splitlines()))
    say("\nThe card, README.md:\n")
    say(found.card.rstrip("\n"))
    say("")
    for warning in found.warnings:
        note(warning)


def ask(found: Publication) -> bool:
    """Ask whether it may be sent; anything but yes is no."""
    what = f"put it in place of {found.replaces}" if found.replaces else "send it"
    question = f"{what}, for {'everybody' if found.public else 'you alone'} to see? [yes/no] "
    click.echo(f"{question[0].upper()}{question[1:]}", nl=False, err=True)
    answer = sys.stdin.readline()
    return answer.strip().lower() in ("y", "yes")


def say_unsent() -> None:
    """Say that a no was heard."""
    say("nothing was sent")


def show_published(done: Published, *, is_dry: bool, as_json: bool) -> None:
    """Print what became of it."""
    found = done.what
    if as_json:
        show_json(done.as_data())
        return
    if is_dry:
        say(f"nothing was sent: {size(found.size)} would be, in one commit")
        return
    if not done.is_new:
        say(f"0 bytes sent: {found.place.url} has all of it")
    else:
        say(f"{size(done.sent)} sent to {found.place.url}, commit {(done.commit or '')[:10]}")
    if not found.exported.weights.merged_as and not found.exported.weights.gguf:
        say(f"\nanywhere else:\n  bgit adopt {found.place.url}{_branch(found)}")


def _branch(found: Publication) -> str:
    return f"@{found.place.revision}" if found.place.revision else ""


def _who(found: Publication) -> str:
    if found.opens:
        return "everybody, from now on"
    return "everybody" if found.public else "you, and whom you let in"
