"""Commands of ours whose name is also a verb of git's: what is not ours goes on as it was typed."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bakery.errors import BakeryError
from bakery.repo.model_repo import ModelRepo

_KEY = "bakery.raw_arguments"


class RawCommand(click.Command):
    """A command that remembers its arguments as typed: `--` and unknown options included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the arguments, and parse them."""
        ctx.meta[_KEY] = list(args)
        return super().parse_args(ctx, args)


def arguments(context: click.Context) -> Sequence[str]:
    """Return what was typed behind the command's name."""
    typed: Sequence[str] = context.meta[_KEY]
    return typed


def are_paths(context: click.Context) -> bool:
    """Tell whether `--` was typed: what follows it are paths, which only git has."""
    return "--" in arguments(context)


def repository(*, surely: bool) -> ModelRepo | None:
    """Return the repository around us; None where it need not be one of ours: git answers."""
    try:
        return ModelRepo.find()
    except BakeryError:
        if surely:
            raise
        return None
