"""What `bgit fsck` found: what is wrong, where, and what mends it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bakery.ui.console import MISSING_WEIGHTS, note, say, show_json
from bakery.ui.status import size

if TYPE_CHECKING:
    from bakery.app.fsck import Checked

_SHOWN = 50
"""Findings of one kind that are shown; --json has all."""


def show_checked(found: Checked, *, as_json: bool = False) -> None:
    """Print every finding with its remedy, and how much was looked at."""
    if as_json:
        show_json(found.as_data())
        return
    shown: dict[str, int] = {}
    for one in sorted(found.findings, key=lambda one: not one.is_damage):
        shown[one.kind] = shown.get(one.kind, 0) + 1
        if shown[one.kind] > _SHOWN:
            continue
        say(f"{one.kind}: {one.name}: {one.why}")
        say(f"    {os.path.relpath(one.path)}")
        say(f"    {one.mend}")
    for kind, count in shown.items():
        if count > _SHOWN:
            note(f"{count - _SHOWN} more are {kind}: --json lists all")
    rate = found.read_bytes / max(found.read_s, 1e-6)
    how = (
        f"{size(found.read_bytes)} read, at {size(int(rate))} a second"
        if found.is_whole
        else "heads and sizes alone: without --connectivity-only every byte is read"
    )
    damages = sum(one.is_damage for one in found.findings)
    verdict = "nothing is wrong" if found.is_sound else f"{damages} things are wrong"
    if damages == 1:
        verdict = "one thing is wrong"
    models, sets, missing = (
        f"{count} {unit}{'s' * (count != 1)}"
        for count, unit in (
            (found.models, "model"), (found.rows, "set"), (found.missing, "recorded model"),
        )
    )  # fmt: skip
    say(f"{verdict} with the weights of {models}, and {sets} of questions or answers ({how})")
    if found.missing:
        note(f"the weights of {missing} are not here: {MISSING_WEIGHTS}")
