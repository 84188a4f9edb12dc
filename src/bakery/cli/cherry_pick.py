"""`bgit cherry-pick --weights`: one bake on this branch's model; any other line is git's."""

from __future__ import annotations

import click

from bakery.app import cherry_pick as app
from bakery.cli.raw import WeightsCommand
from bakery.cli.said import SAID
from bakery.repo.model_repo import ModelRepo
from bakery.ui.joined import show_picked
from bakery.ui.progress import reporter


class _CherryPick(WeightsCommand):
    git_values = frozenset(
        {"-m", "--mainline", "--strategy", "-X", "--strategy-option", "--cleanup", "--empty"}
    )
    has_value = True
    unsaid = "auto"


@click.command("cherry-pick", cls=_CherryPick)
@click.argument("bake", type=SAID)
@click.option(
    "--weights", "how", type=click.Choice(app.WAYS), metavar="[HOW]",
    help="Pick a bake's weights (cat: its ranks alone); without it, git's cherry-pick.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Take it, whatever it contradicts.")
@click.option(
    "--allow", type=click.Choice(["gate"]), multiple=True,
    help="Record it though it falls short of the gate of tests.yml.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what came of it as JSON.")
@click.pass_context
def cherry_pick(
    context: click.Context, bake: str, how: str, force: bool, allow: tuple[str, ...], as_json: bool
) -> None:
    """Put one bake on this branch's model (--weights), or as git does.

    The bake is one of another branch. Its ranks are taken as they were trained, and every question
    of either is asked again; where answers are lost, it is baked here anew from its recipe. Where
    both answer a question, each in its own way, that is shown, and nothing is picked (exit code 1)
    without --force. Without --weights the whole line is git's cherry-pick.
    """
    repo = ModelRepo.find()
    with reporter() as shown:
        found = app.cherry_pick(repo, bake, how=how, force=force, allow=allow, reporter=shown)
    show_picked(found, as_json=as_json)
    context.exit(1 if found.is_refused else 0)
