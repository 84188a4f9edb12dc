"""`bgit verify`: which model answers at a URL, and by what that was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.brief import brief
from bakery.ui.chart import number
from bakery.ui.console import lay, open_console, pairs, say_at_length, show_json

if TYPE_CHECKING:
    from bakery.app.verify import Verified

WORDS: Mapping[str, tuple[str, str]] = {
    "bake": ("this is the bake", "bold green"),
    "base": ("this is its base", "bold red"),
    "other": ("this is something else", "bold red"),
    "alike": ("bake and base answer these probes alike", "bold yellow"),
}
ROOM, SHOWN = 60, 3


def show_verified(found: Verified, *, as_json: bool = False) -> None:
    """Print what answers, the figures, and the first answers that are not the bake's."""
    if as_json:
        show_json(found.as_data())
        return
    out, told = open_console(), found.figures
    word, style = WORDS[found.what]
    if told.from_bake is None:  # the prompted parent says the same
        word = word.replace("this is", "this answers as")
    out.print(Text.assemble((word, style), f": {found.served} at {found.url}"), soft_wrap=True)
    out.print()
    table = pairs()
    of = f"of {told.probes} probes"
    table.add_row("answers as the bake", f"{told.as_bake} {of}")
    table.add_row("answers as the base", f"{told.as_base} {of}")
    if told.from_bake is not None and told.from_base is not None and told.apart is not None:
        table.add_row("from the bake", f"{number(told.from_bake)} nats at the first token")
        table.add_row("from the base", f"{number(told.from_base)} nats")
        table.add_row("bake from base", f"{number(told.apart)} nats")
        table.add_row("off from the bake", f"{number(told.off_bake or 0.0)} nats at one token")
    table.add_row("compared with", found.model)
    lay(out, table)
    if told.is_rounded and found.what == "bake":
        say_at_length("It computes with less precision than the bake was measured with.")
    if told.from_bake is None:
        why = "was asked by messages, not token ids" if found.by == "messages" else (
            "gave no log probabilities")  # fmt: skip
        say_at_length(f"The server {why}: greedy answers alone were compared.")
    wrong = [one for one in found.answers if one.server != one.bake]
    for one in wrong[:SHOWN] if found.what != "bake" else ():
        out.print()
        out.print(Text(brief(one.question, ROOM), style="bold"), soft_wrap=True)
        rows = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
        for side in ("bake", "base", "server"):
            rows.add_row(side, brief(getattr(one, side), ROOM))
        lay(out, rows)
