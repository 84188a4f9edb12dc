"""What other launchers leave in the environment, which torch and accelerate would obey.

A pod, a batch job or a notebook under `accelerate launch` says RANK or ACCELERATE_MIXED_PRECISION
for a program of its own. A bake that took it at its word would wait for processes that nobody
starts, or train in another precision than its id says.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

NAMES = frozenset(
    {"RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK", "ROLE_NAME", "MASTER_ADDR", "MASTER_PORT",
     "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE"}
)  # fmt: skip
FAMILIES = (
    "ACCELERATE_", "FSDP_", "MEGATRON_LM_", "MV2_COMM_", "OMPI_COMM_", "PARALLELISM_CONFIG_",
    "PMI_", "TORCHELASTIC_",
)  # fmt: skip
"""How the other names begin."""


def is_left_over(name: str) -> bool:
    """Tell whether a variable places a process among others, or says how accelerate trains."""
    return name in NAMES or name.startswith(FAMILIES)


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what launchers have left in it."""
    return {name: value for name, value in environment.items() if not is_left_over(name)}


@contextmanager
def hidden() -> Iterator[None]:
    """Run the block as if nobody had launched this process."""
    found = {name: value for name, value in os.environ.items() if is_left_over(name)}
    for name in found:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(found)
