"""How long a chain of bakes may grow: never too long, as what came before is compressed.

Each bake adds its ranks to those of its parent, and past a limit the nearest adapter of fewer ranks
takes the parent's place. That is what the bake is trained on, so what is lost is lost before it
learns, and never added up afterwards.
"""

from __future__ import annotations

from bakery.errors import ConfigError

MOST = 256
"""Ranks of a chain's adapter, where nobody says how many."""


def kept(before: int, own: int, limit: int | None, at: str = "") -> int | None:
    """Return how many ranks of a parent that has `before` are kept; None: all of them.

    Raises ConfigError, with the place `at` which it is said, where a bake alone takes all of them.
    """
    most = MOST if limit is None else limit
    if own > most or (before and own == most):
        raise ConfigError(
            f"{at}a bake of rank {own} leaves no room for "
            f"{'its parent' if before else 'itself'} in an adapter of {most} ranks",
            hint="Choose a smaller BAKE.model.baked_adapter_config.r, or a larger "
            "BAKE.model.max_chain_rank.",
        )
    return most - own if before + own > most else None


def told(before: int, own: int, ranks: int) -> str:
    """Say what becomes of a parent's ranks."""
    return (
        f"with this bake the chain would have rank {before + own}, more than {ranks + own}: of the "
        f"{before} ranks before it the nearest adapter of {ranks} is trained on "
        "(BAKE.model.max_chain_rank)"
    )
