"""Which remote of weights there is, and what went there or came from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bakery.remotes import addresses
from bakery.ui.console import note, say, show_json
from bakery.ui.status import size

if TYPE_CHECKING:
    from bakery.app.pull import Pulled
    from bakery.app.push import Moving, Pushed
    from bakery.app.remote_check import Checked
    from bakery.app.remote_gc import Tidied
    from bakery.app.weights import WeightsRemote

MOST_NAMES = 3


def show_remote(found: WeightsRemote, *, as_json: bool = False) -> None:
    """Print the remote that is enabled, and what is proposed beside it."""
    if as_json:
        show_json(found)
        return
    say(found.enabled or "no remote of weights is enabled in this clone")
    if found.commit:
        say(f"committed to .bread: {found.commit[:10]}")
    if found.is_waiting:
        note(found.announcement)


def show_pushed(found: Pushed, *, as_json: bool = False) -> None:
    """Print what was sent; what nobody has is a note."""
    if as_json:
        show_json(found.as_data())
        return
    for one in found.sent:
        did = "would send" if found.is_dry_run else "sent"
        say(f"{did:<10} {one.kind:<10} {one.name}")
    verb = "would be sent" if found.is_dry_run else "sent"
    what = f"{found.objects} objects, {size(found.bytes)}" if found.objects else "0 bytes"
    if found.sent or found.there:
        say(f"{what} {verb} to {found.remote}; {len(found.there)} were there already")
    lost = [one for one in found.missing if one.kind == "weights"]
    if lost:
        note(f"neither this clone nor {found.remote} has the weights of {_names(lost)}: the "
             "commits go without them")  # fmt: skip


def show_pulled(found: Pulled, *, as_json: bool = False) -> None:
    """Print what was fetched, and what the remote lacks."""
    if as_json:
        show_json(found.as_data())
        return
    for one in found.taken:
        say(f"{'took':<10} {one.kind:<10} {one.name}")
    if found.taken:
        say(f"{size(found.bytes)} fetched from {found.remote}")
    elif found.here:
        say(f"0 bytes fetched: {_names(found.here)} here already")
    for kind, option in (("weights", ""), ("questions", " --data"), ("answers", " --data")):
        if lost := [one for one in found.missing if one.kind == kind]:
            why = f"`bgit push{option}` sends them from where they are"
            if (folder := addresses.missing_folder(found.remote)) is not None:
                why = f"there is no folder {folder}. Is a disk not mounted?"
            note(f"{found.remote} does not have the {kind} of {_names(lost)}: {why}")


def show_remote_checked(found: Checked, *, as_json: bool = False) -> None:
    """Print what is wrong with a remote, and how much of it was looked at."""
    if as_json:
        show_json(found.as_data())
        return
    for one in found.findings:
        say(f"{one.kind:<9} {one.place}\n          {one.why}\n          {one.mend}")
    read = f", {size(found.read_bytes)} read" if found.is_deep else ", sizes alone (--deep reads)"
    say(f"{found.remote}: {found.manifests} manifests, {found.objects} objects, "
        f"{size(found.bytes)}{read}: "
        f"{'nothing is wrong' if found.is_sound else 'something is wrong'}")  # fmt: skip


def show_tidied(found: Tidied, *, as_json: bool = False) -> None:
    """Print what left a remote, or would."""
    if as_json:
        show_json(found.as_data())
        return
    did = "would be deleted" if found.is_dry_run else "deleted"
    for one in found.removed:
        say(f"{one.place}  {size(one.bytes)}")
    say(f"{len(found.removed)} objects that no manifest names {did} from {found.remote}: "
        f"{size(sum(one.bytes for one in found.removed))}")  # fmt: skip
    if found.young:
        note(f"{found.young} more are not {found.grace_days} days old: a push may be at them")


def _names(found: Sequence[Moving]) -> str:
    names = ", ".join(one.name for one in found[:MOST_NAMES])
    return names + (f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else "")
