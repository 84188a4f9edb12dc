"""`bgit merge`, `cherry-pick` and `revert --only` of weights: what is left of each target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from bakery.brief import brief
from bakery.kept import lost_of
from bakery.records import given_name
from bakery.ui.chart import number
from bakery.ui.console import lay, open_console, say, say_at_length, show_json

if TYPE_CHECKING:
    from bakery.app.cherry_pick import Picked
    from bakery.app.leave_out import LeftOut
    from bakery.app.merge import Merged
    from bakery.kept import Contradiction, Kept

ROOM = 60
"""Characters of an answer in a line."""
SHOWN = 10
"""Contradictions that are printed."""
LEARNT_BY: Mapping[str, Mapping[str, str]] = {
    "merge": {},
    "cherry-pick": {"ours": "this branch", "theirs": "the one picked"},
}
"""Who learnt a target, in words, where git's own do not say it; a verb that is not here has one
model alone, and no such column."""


def show_merged(found: Merged, *, as_json: bool = False) -> None:
    """Print what came of a merge: the sides' contradictions, or what is left of each target."""
    if as_json:
        show_json(found.as_data())
        return
    ours, theirs = (str(side or found.base) for side in (found.ours, found.theirs))
    if found.how == "nothing":
        say(f"Nothing to merge: {ours} has all that {theirs} has.")
        return
    if found.how == "forward":
        say(f"Forward: {theirs} was baked on {ours}, and is the current model now.")
        return
    if found.contradictions:
        show_contradictions(found.contradictions, found.branch)
    if found.is_refused:
        say_at_length(
            "Nothing was merged. `--ours` or `--theirs` says whose answers stand, `--force` takes "
            "what comes out; or bake one side anew with a prompt that agrees with the other."
        )
        return
    for tried in found.tried:
        show_kept(tried.kept, tried.how, answers=tried is found.tried[-1])
        say("")
    _show_current("Merged: ", str(found.model))
    if not found.tried:
        return
    again = "" if found.how == "distill" else f"; `bgit merge --weights=distill {found.branch}` "
    again += again and "then learns them from both"
    back = found.model.bake if found.model else "HEAD"
    _show_lost(found.tried[-1].kept, f"`bgit revert {back}` takes the merge back{again}")


def show_picked(found: Picked, *, as_json: bool = False) -> None:
    """Print what a picked bake does here, or what it contradicts."""
    if as_json:
        show_json(found.as_data())
        return
    if found.contradictions:
        show_contradictions(found.contradictions, found.bake)
    if found.is_refused:
        say_at_length("Nothing was picked. `--force` takes what comes out.")
        return
    show_kept(found.kept, "target", by="cherry-pick")
    say("")
    _show_current("Baked here anew: " if found.is_anew else "Picked: ", str(found.model))
    back = found.model.bake if found.model else "HEAD"
    _show_lost(found.kept, f"`bgit revert {back}` takes it back")


def show_left_out(found: LeftOut, *, as_json: bool = False) -> None:
    """Print what is left where a bake was taken out of a chain."""
    if as_json:
        show_json(found.as_data())
        return
    show_kept(found.kept, "target", by="revert")
    say("")
    for model in found.anew:
        say_at_length(f"baked anew, as it leant on it: {model}")
    _show_current(f"{found.bake} is out: ", str(found.model or found.base))
    _show_lost(found.kept, f"`bgit revert HEAD` brings {found.bake} back")


def _show_current(what: str, model: str) -> None:
    open_console().print(Text.assemble(what, (model, "bold green")), soft_wrap=True)


def _show_lost(kept: Sequence[Kept], hint: str) -> None:
    """Say which targets are lost in what was recorded, and what can be done about it."""
    if names := lost_of(kept):
        say_at_length(f"Of {names} more than one answer in ten is another one than before: {hint}.")


def show_kept(kept: Sequence[Kept], how: str, *, by: str = "merge", answers: bool = True) -> None:
    """Print a line for each target, and the answers that are other ones now.

    `by` is the verb that asked for it, which says whose targets they are.
    """
    if not kept:
        return
    out = open_console()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(how, no_wrap=True)
    called = LEARNT_BY.get(by)
    if called is not None:
        table.add_column("learnt by")
    for title in ("as before", "as prompted", "KL"):
        table.add_column(title, justify="right")
    for one in kept:
        name = Text(given_name(one.target), style="red" if one.is_lost else "")
        table.add_row(
            name,
            *(() if called is None else (called.get(one.side, one.side),)),
            f"{one.questions - one.other} of {one.questions}",
            f"{one.agreed_before:.0%} → {one.agreed:.0%}",
            number(one.kl),
        )
    lay(out, table)
    for one in kept if answers else ():
        for row in one.rows:
            out.print(Text(f"> {brief(row.question, ROOM)}", style="bold"), soft_wrap=True)
            say_at_length(f"  before  {brief(row.before, ROOM)}")
            say_at_length(f"  now     {brief(row.now, ROOM)}")


def show_contradictions(found: Sequence[Contradiction], branch: str) -> None:
    """Print questions that both sides answer in their own way, as git shows a conflict."""
    out = open_console()
    # Both sides may have asked it: it is one question all the same.
    asked = list(dict.fromkeys((one.question, one.ours, one.theirs) for one in found))
    say("1 question has two answers:" if len(asked) == 1 else
        f"{len(asked)} questions have two answers:")  # fmt: skip
    for question, ours, theirs in asked[:SHOWN]:
        out.print(Text(f"> {brief(question, ROOM)}", style="bold"), soft_wrap=True)
        out.print(Text(f"<<<<<<< ours\n{ours}\n=======\n{theirs}\n>>>>>>> {branch}"),
                  soft_wrap=True)  # fmt: skip
    if len(asked) > SHOWN:
        say(f"… and {len(asked) - SHOWN} more (--json has them all)")
    say("")
