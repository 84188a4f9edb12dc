"""`bgit bisect --weights`: each test as it comes, and the first bad bake, in git's words."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.brief import brief
from bakery.ui.console import lay, note, open_console, pairs, say, show_json

if TYPE_CHECKING:
    from bakery.app.bisect import Bisected, Tried

ROOM = 56
"""Characters of what a test went by."""


def show_tried(tried: Tried, left: int, *, beside: bool = False) -> None:
    """Say what a test came to, and how many models are left; `beside`: on stderr."""
    steps = math.ceil(math.log2(left + 1)) if left else 0
    models, plural = "model" if left == 1 else "models", "" if steps == 1 else "s"
    rest = f"{left} {models} left to test after this (roughly {steps} step{plural})"
    text = f"{tried.state:<4}  {tried.model}"
    if beside:
        note(f"{text}: {rest}")
        return
    say(f"{text}\n      {brief(tried.why, ROOM) or '(nothing)'}\n      {rest}")
    sys.stdout.flush()  # a command that is tested prints on its own


def show_bisected(found: Bisected, *, as_json: bool = False) -> None:
    """Print the first bad bake, or which ones it could be."""
    if as_json:
        show_json(found.as_data())
        return
    if found.first_bad is None:
        say("\nThere are only skipped models left to test.\nThe first bad bake could be any of:")
        for name in found.could_be:
            say(name)
        say("We cannot bisect more!")
        return
    say("")
    open_console().print(
        Text(f"{found.first_bad.name} is the first bad bake", style="bold"), soft_wrap=True
    )
    bake = found.first_bad.bake
    if bake is None:
        return
    table: Table = pairs()
    table.add_row("baked on", str(bake.parent or "the base"))
    table.add_row("targets", ", ".join(str(t["name"]) for t in bake.data["targets"]))
    lay(open_console(), table)
