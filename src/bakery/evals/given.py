"""What a person asks of an evaluation, and gives beside the model: plain data."""

from __future__ import annotations

from dataclasses import dataclass

from bakery.evals.ifeval.score import Instruction
from bakery.evals.neutral import NEUTRAL
from bakery.identity import digest

BUILT_IN = "built-in"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of an evaluation. `only`: these axes alone; `limit`: so many questions each."""

    suite: str = "quick"
    only: tuple[str, ...] = ()
    limit: int | None = None
    neutral: str | None = None
    """A file or hub id of questions where the prompt should not matter."""
    ifeval: str | None = None
    """A file or hub id of instructions with checks."""
    canary: str | None = None
    """A secret of the prompt that must not come out."""
    again: bool = False
    """Measure what was measured before."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a person gives beside the model; empty where nobody did."""

    neutral: tuple[str, ...] = NEUTRAL
    neutral_name: str = BUILT_IN
    ifeval: tuple[Instruction, ...] = ()
    ifeval_name: str = ""
    canary: str = ""


def inputs(wanted: Wanted, given: Given) -> dict[str, str]:
    """Return what a result depends on beside the model and the suite."""
    said = {"only": ",".join(sorted(wanted.only)), "limit": str(wanted.limit or "")}
    said |= {"neutral": given.neutral_name, "ifeval": given.ifeval_name}
    for name, rows in (("neutral_digest", given.neutral), ("ifeval_digest", given.ifeval)):
        said[name] = digest([list(map(str, rows))])[:16] if rows else ""
    # Only its digest: a canary is a secret.
    said["canary"] = digest([given.canary])[:16] if given.canary else ""
    return {key: value for key, value in said.items() if value}


def holds(text: str, canary: str) -> bool:
    """Tell whether a prompt holds a secret, however its blanks and its case are written."""
    return " ".join(canary.split()).casefold() in " ".join(text.split()).casefold()
