"""`bgit bisect --weights`: the first bad bake of a chain; any other line is git's bisect."""

from __future__ import annotations

import click

from bakery.app import bisect as app
from bakery.cli import given
from bakery.cli.passthrough import STDERR
from bakery.cli.raw import WeightsCommand
from bakery.cli.said import SAID
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.bisect import show_bisected, show_tried
from bakery.ui.progress import reporter


class _Bisect(WeightsCommand):
    words_follow = True


@click.command(cls=_Bisect, context_settings={"allow_interspersed_args": False})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[run COMMAND...]")
@click.option(
    "--weights", is_flag=True, expose_value=False,
    help="Search a chain of bakes; without it, git's bisect.",
)  # fmt: skip
@click.option(
    "--good",
    type=SAID,
    metavar="MODEL",
    default="base",
    help="A model that is good; by default the base.",
)
@click.option(
    "--bad", type=SAID, metavar="MODEL", default="parent",
    help="One baked on it that is bad; by default the current model.",
)  # fmt: skip
@click.option(
    "--question", type=SAID, metavar="TEXT", help="Test by the answer to this, without a command."
)
@click.option(
    "--contains", type=SAID, metavar="TEXT", help="A good answer holds this, in any case."
)
@click.option("--not-contains", type=SAID, metavar="TEXT", help="A good answer does not hold this.")
@click.option(
    "--regex", type=SAID, metavar="PATTERN", help="In a good answer this expression is found."
)
@click.option("--system", metavar="TEXT|@FILE", help="A system prompt in front of the question.")
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N",
    help="How much of an answer is looked at; 64 by default.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def bisect(
    context: click.Context,
    words: tuple[str, ...],
    good: str,
    bad: str,
    question: str | None,
    contains: str | None,
    not_contains: str | None,
    regex: str | None,
    system: str | None,
    max_tokens: int | None,
    as_json: bool,
) -> None:
    """Find the first bad bake of a chain (--weights), or bisect as git does.

    A command is given the model's name, as BGIT_MODEL and in place of {model}; it exits with 0
    where that is good, with 125 where it cannot be tested, else with 1 to 124. Options of ours
    stand before `run`. Exits with 1 where only skipped models are left. Without --weights the
    whole line is git's bisect.
    """
    if bool(words) == (question is not None) or (words and (words[0] != "run" or len(words) < 2)):
        raise ConfigError(
            "say how a model is tested: by a command, or by a question",
            hint="`bgit bisect --weights run ./test.sh`, or `bgit bisect --weights --question "
            "TEXT --contains TEXT`.",
        )
    if words and any(value is not None for value in (contains, not_contains, regex, system)):
        raise ConfigError("--contains, --not-contains, --regex and --system need --question")
    repo = ModelRepo.find()
    with reporter() as shown:
        if question is None:
            found = app.chain(repo, good, bad)
            test = app.by_command(repo, words[1:], out=STDERR if as_json else None)
        else:
            check = app.Check(
                question, contains, not_contains, regex,
                given.system_prompt(system), max_tokens,
            )  # fmt: skip
            found = app.chain(repo, good, bad)
            test = app.by_question(repo, found, check, reporter=shown)
        result = app.bisect(
            found, test, told=lambda tried, left: show_tried(tried, left, beside=as_json)
        )
    show_bisected(result, as_json=as_json)
    context.exit(0 if result.first_bad else 1)
