"""`bgit merge --weights`: two branches' weights in one model; any other line is git's merge."""

from __future__ import annotations

import click

from bakery.app import merge as app
from bakery.cli.raw import WeightsCommand
from bakery.cli.said import SAID
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.joined import show_merged
from bakery.ui.progress import reporter


class _Merge(WeightsCommand):
    git_values = frozenset(
        {"-m", "-F", "--file", "-s", "--strategy", "-X", "--strategy-option", "--into-name",
         "--cleanup"}
    )  # fmt: skip
    has_value = True
    unsaid = "auto"


@click.command(cls=_Merge)
@click.argument("branch", type=SAID)
@click.option(
    "--weights", "how", type=click.Choice(app.WAYS), metavar="[HOW]",
    help="Merge weights, too: cat, svd, ties or distill; without it, git's merge.",
)  # fmt: skip
@click.option("--ours", is_flag=True, help="Where the sides contradict each other, ours wins.")
@click.option("--theirs", is_flag=True, help="Where they contradict each other, theirs wins.")
@click.option("--force", is_flag=True, help="Merge them all the same, whatever comes out.")
@click.option(
    "--rank", type=click.IntRange(1), metavar="N",
    help="Ranks to keep (svd, ties); as many as the larger side has by default.",
)  # fmt: skip
@click.option(
    "--allow", type=click.Choice(["gate"]), multiple=True,
    help="Record it though it falls short of the gate of tests.yml.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
@click.pass_context
def merge(
    context: click.Context,
    branch: str,
    how: str,
    ours: bool,
    theirs: bool,
    force: bool,
    rank: int | None,
    allow: tuple[str, ...],
    as_json: bool,
) -> None:
    """Merge a branch and its weights (--weights), or merge as git does.

    One commit. Weights are added up (cat), and each side's questions are asked again; where more
    than a tenth of a target's answers is lost, it is learnt again from both sides (distill).
    Questions that both sides answer, each in its own way, are shown, and nothing is merged (exit
    code 1) without --ours, --theirs or --force. Without --weights the whole line is git's merge.
    """
    if ours + theirs + force > 1:
        raise ConfigError("--ours, --theirs and --force exclude each other")
    wins = "ours" if ours else "theirs" if theirs else None
    with reporter() as shown:
        found = app.merge(
            ModelRepo.find(), branch, how=how, wins=wins, force=force, rank=rank, allow=allow,
            reporter=shown,
        )  # fmt: skip
    show_merged(found, as_json=as_json)
    context.exit(1 if found.is_refused else 0)
