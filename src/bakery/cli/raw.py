"""Commands of ours whose name is also a verb of git's: what is not ours goes on as it was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from bakery.errors import BakeryError
from bakery.repo.model_repo import ModelRepo

_KEY = "bakery.raw_arguments"

_LEAST = 5
"""Characters of an option that may mean one of git's."""


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


def for_git(context: click.Context, ours: Mapping[str, bool]) -> list[str]:
    """Return what was typed without what is ours: options by name, and whether each has a value."""
    kept: list[str] = []
    words = iter(arguments(context))
    for word in words:
        if word == "--":
            return [*kept, word, *words]
        name, equals, _ = word.partition("=")
        if name not in ours:
            kept.append(word)
        elif ours[name] and not equals:
            next(words, None)
    return kept


def is_said(typed: Sequence[str], option: str, *, unsaid: bool = False) -> bool:
    """Tell whether an option of git's is on, as git reads a line: the last word counts.

    Git takes the beginning of a name for the name, where only one begins so.
    """
    for word in typed:
        if len(word) >= _LEAST and f"--{option}".startswith(word):
            unsaid = True
        elif len(word) >= _LEAST + 3 and f"--no-{option}".startswith(word):
            unsaid = False
    return unsaid


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
