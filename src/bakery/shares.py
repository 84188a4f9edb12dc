"""What a bake mixes: targets with their weights, and what each is there for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bakery.records import Prompt

REPLAY, RETENTION = "replay", "retention"
"""What a target is in a mix that `BAKE.datasets` does not name, or not for what it teaches."""


@dataclass(frozen=True, slots=True)
class TargetShare:
    """One target of a bake's mix, with the prompts that its views are made of.

    `weight` is in proportion to the others; of REPLAY a share of all; of RETENTION beside the rest.
    """

    name: str
    id: str
    weight: float
    teacher: Prompt
    student: Prompt
    role: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What the first row says in the place of each variable of the prompts: its names are in the
    target's id."""

    def as_data(self) -> dict[str, Any]:
        """Return what is hashed; a role only where it has one."""
        role = {"role": self.role} if self.role else {}
        return {"target": self.id, "weight": self.weight, "student": self.student.as_data(), **role}


def parts(shares: Sequence[TargetShare]) -> list[float]:
    """Return about which part of what an epoch learns is of each target."""
    whole = sum(share.weight for share in shares if not share.role)
    replay, beside = (
        sum(share.weight for share in shares if share.role == role) for role in (REPLAY, RETENTION)
    )
    new = (1 - replay) / whole if whole else 0.0
    each = [share.weight * (1 if share.role else new) for share in shares]
    return [part / (1 + beside) for part in each]
