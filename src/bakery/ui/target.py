"""`bgit target`: the targets that there are, and one of them in full."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from bakery.records import given_name
from bakery.repo.look.diff import prompt_text
from bakery.repo.look.target import FormerTarget, KnownTarget, Listing
from bakery.ui.console import lay, note, open_console, pairs, say, show_json


def show_targets(listing: Listing, *, as_json: bool = False) -> None:
    """Print targets, oldest first; a star marks those that input.yml configures now."""
    if as_json:
        show_json(listing.as_data())
    else:
        _list(listing.targets, listing.former)
    if listing.left_out:
        note(f"{listing.left_out} older targets are not shown")


def _list(targets: Sequence[KnownTarget], former: Sequence[str]) -> None:
    if former:
        say("of another tool, whose questions and answers are with the vendor:")
        say("".join(f"  {name}\n" for name in former))
    if not targets and not former:
        say("There are no targets yet: TARGET in input.yml makes one.")
        return
    if not targets:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", width=1)
    table.add_column("target", overflow="fold")
    table.add_column("questions", justify="right")
    table.add_column("answers", justify="right")
    table.add_column("here", no_wrap=True)
    table.add_column("used by", overflow="fold")
    for target in targets:
        table.add_row(
            "*" if target.is_configured else "",
            target.name,
            "-" if target.stimuli is None else str(target.stimuli),
            "-" if target.trajectories is None else str(target.trajectories),
            "yes" if target.has_answers else "questions" if target.has_questions else "no",
            ", ".join(dict.fromkeys(given_name(name) for name, _ in target.bakes)) or "-",
        )
    lay(open_console(), table)


def show_target(target: KnownTarget | FormerTarget, *, as_json: bool = False) -> None:
    """Print one target in full; that of another tool as that wrote it."""
    if as_json or isinstance(target, FormerTarget):
        show_json(target.as_data())
        return
    out = open_console()
    out.print(Text(target.name, style="bold green"), soft_wrap=True)
    table = pairs()
    for kind, prompt in (("teacher", target.teacher), ("student", target.student)):
        table.add_row(kind, prompt_text(prompt) or "(none: always on)")
    if target.generators is None:
        table.add_row("generators", "not known: the input.yml it was made from is not here")
    for number, generator in enumerate(target.generators or (), start=1):
        table.add_row(f"generator {number}", json.dumps(generator, ensure_ascii=False))
    for key, value in (target.sampling or {}).items():
        table.add_row(key, str(value))
    if target.stimuli is not None:
        writers = ", ".join(f"{name} {count}" for name, count in target.writers.items())
        table.add_row("questions", f"{target.stimuli} ({writers})")
        table.add_row("answers", str(target.trajectories))
    for kind, value in target.digests.items():
        table.add_row(f"{kind}, digest", f"sha256:{value}")
    table.add_row("in this store", f"questions {_yes(target.has_questions)}, "
                  f"answers {_yes(target.has_answers)}")  # fmt: skip
    for name, weight in target.bakes:
        table.add_row("used by", f"{name}, weight {weight:g}")
    if target.is_configured:
        table.add_row("", "input.yml configures it now")
    lay(out, table)
    say(f"\nIn BAKE.datasets of a later bake: - target: {target.name}")


def _yes(there: bool) -> str:
    return "yes" if there else "no"
