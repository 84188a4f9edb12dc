"""Commands of ours whose name is also a verb of git's: what is not ours goes on as it was typed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click

from bakery.cli import passthrough
from bakery.errors import BakeryError, ConfigError
from bakery.repo.model_repo import ModelRepo

_KEY = "bakery.raw_arguments"

WEIGHTS = "--weights"
"""What makes a line ours whose verb is git's in any other, but where a command names another."""

_LEAST = 5
"""Characters of an option that may mean one of git's."""


class RawCommand(click.Command):
    """A command that remembers its arguments as typed: `--` and unknown options included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Remember the arguments, and parse them."""
        ctx.meta[_KEY] = list(args)
        return super().parse_args(ctx, args)

    def make_parser(self, ctx: click.Context) -> Any:
        """Read `-h` as a word of its own alone: in git's `-Shello` it is a part of a value."""
        parser = super().make_parser(ctx)
        parser._long_opt["-h"] = parser._short_opt.pop("-h")
        return parser


class WeightsCommand(RawCommand):
    """A command that is git's, with all that was typed, where no option of ours asks for ours.

    Git's line is not parsed here: any word of it may look like an option of ours, or hold one.
    """

    mark = WEIGHTS
    """The option that asks for ours."""
    has_value = False
    """Whether it may hold its value: `--name=VALUE`."""
    git_values: frozenset[str] = frozenset()
    """Options of git's that the word behind them belongs to, even `mark`."""
    words_follow = False
    """Whether git's lines begin with a word, behind which anything may stand."""
    unsaid: str | None = None
    """What `mark` alone means where its value may be left out; None: it may not."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what is ours, and remember the rest."""
        if self.is_ours(args):
            if self.unsaid is not None:
                args = [f"{self.mark}={self.unsaid}" if a == self.mark else a for a in args]
            return super().parse_args(ctx, args)
        ctx.meta[_KEY] = list(args)
        return []

    def invoke(self, ctx: click.Context) -> None:
        """Run ours, or git's."""
        if self.is_ours(typed := list(arguments(ctx))):
            super().invoke(ctx)
        else:
            ctx.exit(passthrough.hand_to_git([self.name or "", *typed]))

    def is_ours(self, args: Sequence[str]) -> bool:
        """Tell whose a line is; of a question for help, ours."""
        if list(args[:1]) in (["-h"], ["--help"]):
            return True
        if self.words_follow and not "".join(args[:1]).startswith("-"):
            return False
        own = args[: args.index("--")] if "--" in args else args
        behind = zip(["", *own], own, strict=False)
        return any(
            before not in self.git_values
            and (word == self.mark or (self.has_value and word.startswith(f"{self.mark}=")))
            for before, word in behind
        )


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


def alone_with(context: click.Context, option: str, others: Collection[str]) -> None:
    """Refuse all that was typed beside an option of ours but for some others."""
    names = (word.partition("=")[0] for word in arguments(context))
    wrong = [n for n in names if n.startswith("-") and n not in {option, *others}]
    if wrong:
        raise ConfigError(
            f"{option} goes with {', '.join(sorted(others))} alone, not with {wrong[0]}"
        )


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
