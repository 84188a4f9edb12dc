"""`bgit run`: the stages, always in the one order that makes sense."""

from __future__ import annotations

import click

from bakery import jobs
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.progress import reporter


@click.command()
@click.argument(
    "stages",
    nargs=-1,
    metavar="[stim] [rollout] [bake]",
    type=click.Choice(jobs.STAGES, case_sensitive=False),
)
@click.option(
    "--force",
    is_flag=True,
    help="Train a bake that is in the store again, and compare the digests: of use after a "
    "revert, or where its configuration is committed again.",
)
def run(stages: tuple[str, ...], force: bool) -> None:
    """Run stages of the pipeline: stim, rollout, bake.

    Without a name all three run. What is there is kept: running it again makes what is missing.
    """
    repo = ModelRepo.find()
    chosen = [stage for stage in jobs.STAGES if not stages or stage in stages]
    with reporter() as shown:
        report = jobs.run(repo, chosen, force=force, reporter=shown)
    console.show_run(report)
