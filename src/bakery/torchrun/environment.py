"""What `accelerate launch` says in the environment, or a shell where somebody has tried it.

Accelerate and transformers read it whoever trains, so that it would decide what nobody asked this
bake for: mixed precision, gradients that are added up, compiled models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bakery.reporting import Reporter

PREFIXES = ("ACCELERATE_", "FSDP_", "MEGATRON_LM_", "PARALLELISM_CONFIG_")
"""Of names of variables that are settings of a training."""

NOTHING = ("", "0", "1", "no", "none", "off", "false")
"""Values that ask for nothing; 1 is a count that goes without saying."""


def said(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return what the environment asks for, NAME=VALUE."""
    found = sorted((os.environ if environment is None else environment).items())
    return [
        f"{name}={value}"
        for name, value in found
        if name.startswith(PREFIXES) and value.strip().lower() not in NOTHING
    ]


@contextmanager
def left_out(reporter: Reporter) -> Iterator[None]:
    """Train without it, and say so: a bake is what its settings say, on every machine."""
    if asked := said():
        reporter.note(
            f"not heeded, as the settings of a bake are those of input.yml: {', '.join(asked)}"
        )
    names = [name for name in os.environ if name.startswith(PREFIXES)]
    kept = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(kept)
