"""`bgit blame --weights`: which bake an answer comes from; any other line is git's blame."""

from __future__ import annotations

from pathlib import Path

import click

from bakery.app import blame as app
from bakery.cli import given
from bakery.cli.raw import WeightsCommand
from bakery.cli.said import SAID, Place
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.blame import show_blame
from bakery.ui.progress import reporter


class _Blame(WeightsCommand):
    git_values = frozenset(
        {"--contents", "--ignore-rev", "--ignore-revs-file", "--date", "-S", "-L"}
    )


@click.command(cls=_Blame)
@click.argument("words", nargs=-1, type=SAID, metavar="QUESTION [MODEL]")
@click.option(
    "--weights", is_flag=True, expose_value=False,
    help="Blame bakes for an answer; without it, git's blame.",
)  # fmt: skip
@click.option(
    "--question-file",
    type=Place(),
    metavar="FILE",
    help="Ask every line of a file instead of QUESTION; `-` reads them from a pipe.",
)
@click.option("--system", metavar="TEXT|@FILE", help="A system prompt in front of each question.")
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N",
    help="How much of an answer is looked at; 64 by default.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def blame(
    words: tuple[str, ...],
    question_file: Path | None,
    system: str | None,
    max_tokens: int | None,
    as_json: bool,
) -> None:
    """Say which bake an answer comes from (--weights), or blame as git does.

    Each bake of a model is left out of its weights in turn. MODEL is any name that `bgit chat`
    takes, else the current model. Without --weights the whole line is git's blame.
    """
    asked = given.questions(question_file) if question_file else list(words[:1])
    more = words if question_file else words[1:]
    if not asked or len(more) > 1:
        raise ConfigError(
            "name one question, and the model where it is not the current one",
            hint='`bgit blame --weights "Who are you?" MODEL`; quotes hold a question together.',
        )
    repo = ModelRepo.here() if more else ModelRepo.find()
    with reporter() as shown:
        found = app.blame(
            repo,
            more[0] if more else "parent",
            asked,
            system=given.system_prompt(system),
            max_tokens=max_tokens,
            reporter=shown,
        )
    show_blame(found, as_json=as_json)
