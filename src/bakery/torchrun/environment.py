"""What other launchers leave in the environment, which torch and accelerate would obey.

A pod, a batch job, or a shell where somebody has tried `accelerate launch`, says RANK or
ACCELERATE_MIXED_PRECISION for a program of its own. A bake that took it at its word would wait for
processes that nobody starts, or train otherwise than its id says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bakery.reporting import Reporter

SETTINGS = ("ACCELERATE_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
"""How names begin that say how something is trained."""

NOTHING = ("", "0", "1", "no", "none", "off", "false")
"""Values that ask for nothing; 1 is a count that goes without saying."""

PLACES = ("MV2_COMM_", "OMPI_COMM_", "PMI_", "TORCHELASTIC_")
PLACE = frozenset(
    {"RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT",
     "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"}
)  # fmt: skip
"""What places a process among others: how such names begin, and whole ones."""


def said(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return what the environment asks a training for, NAME=VALUE."""
    found = sorted((os.environ if environment is None else environment).items())
    return [
        f"{name}={value}"
        for name, value in found
        if name.startswith(SETTINGS) and value.strip().lower() not in NOTHING
    ]


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what launchers have left in it."""
    return {name: value for name, value in environment.items() if not _is_left_over(name)}


@contextmanager
def left_out(reporter: Reporter) -> Iterator[None]:
    """Train as if nobody had launched this process, and say what is not heeded.

    A bake is what its settings say, on every machine.
    """
    if asked := said():
        reporter.note(
            f"not heeded, as the settings of a bake are those of input.yml: {', '.join(asked)}"
        )
    kept = {name: value for name, value in os.environ.items() if _is_left_over(name)}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def _is_left_over(name: str) -> bool:
    return name in PLACE or name.startswith((*SETTINGS, *PLACES))
