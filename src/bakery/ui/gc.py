"""What `bgit gc` took out of the store, and what it left though nothing names it."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from bakery.ui.console import note, say, show_json
from bakery.ui.status import size

if TYPE_CHECKING:
    from bakery.app.gc import Collected

_REASONS = {
    "too young": "touched not long ago: --prune=now removes it, too",
    "paid for": "of an endpoint, which was paid: --paid removes it",
    "in use": "in use by a process",
    "needed by now": "needed by what began in between",
}


def show_collected(found: Collected, *, as_json: bool = False) -> None:
    """Print what was removed, or would be, and how much of what else there is stays why."""
    if as_json:
        show_json(found.as_data())
        return
    for one in found.removed:
        say(f"{one.kind}  {os.path.relpath(one.path)}  {size(one.bytes)}")
    did = "would be removed" if found.is_dry_run else "removed"
    what = f"{len(found.removed)} things" if len(found.removed) != 1 else "one thing"
    say(f"{what} that nothing needs {did} from the store: {size(found.bytes)}"
        if found.removed else "nothing is in the store that can go")  # fmt: skip
    for why, count in Counter(one.kept or "" for one in found.kept).items():
        note(f"{count} more {'stays' if count == 1 else 'stay'}: {_REASONS.get(why, why)}")
