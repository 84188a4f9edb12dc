"""What a bake was asked when it was made, and what it and its base said: `probes.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.errors import ModelError

_SIDES = ("baked", "base")
_HINT = "`bgit fsck` checks what lies beside it; baking again writes it anew."


@dataclass(frozen=True, slots=True)
class Asked:
    """A probe as its file holds it."""

    question: str
    target: str
    prefix: tuple[int, ...]
    greedy: Mapping[str, Sequence[int]]
    top: Mapping[str, Sequence[Sequence[Any]]]
    sure: Mapping[str, tuple[float, ...]]
    """Empty in files of earlier versions."""
    key: str = ""
    """`target/stimulus`, as the bake's answers are kept by."""
    prompted: tuple[int, ...] = ()
    """What the prompted model answered."""
    rest: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The whole entry of the file."""

    @property
    def tokens(self) -> int:
        """How long either answer is."""
        return max(1, *map(len, self.greedy.values()))


def read(path: Path) -> list[Asked]:
    """Return the probes of a file, one at least; ModelError where it does not hold any."""
    try:
        found = [
            Asked(
                str(one["question"]),
                str(one["target"]),
                tuple(int(i) for i in one["student_prefix"]),
                {side: [int(i) for i in one["greedy"][side]] for side in _SIDES},
                {side: [(int(i), float(p)) for i, p in one["top"][side]] for side in _SIDES},
                {side: tuple(map(float, one.get("sure", {}).get(side, ()))) for side in _SIDES},
                str(one.get("key", "")),
                tuple(int(i) for i in one["greedy"].get("prompted", ())),
                one,
            )
            for one in json_file.load_object(path)["probes"]
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(
            f"{path} is damaged: it does not hold the probes of a bake ({error})",
            hint=_HINT,
        ) from error
    if not all(one.prefix and min(one.prefix) >= 0 for one in found):
        raise ModelError(f"{path} is damaged: a probe of it asks nothing", hint=_HINT)
    if not found:
        raise ModelError(f"{path} holds no probe", hint="It was baked without questions to ask.")
    return found
