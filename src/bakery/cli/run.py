"""`bgit run`: the stages, always in the one order that makes sense, here or in the background."""

from __future__ import annotations

from contextlib import ExitStack

import click

from bakery.app import check, jobs
from bakery.app import run as app
from bakery.cli import fetching
from bakery.cli.spreading import process_options
from bakery.errors import ConfigError
from bakery.records import BACKENDS
from bakery.repo.model_repo import ModelRepo
from bakery.torchrun.asked import Processes
from bakery.ui import console
from bakery.ui.check import show_check
from bakery.ui.jobs import show_launched
from bakery.ui.progress import reporter


@click.command()
@click.argument(
    "stages",
    nargs=-1,
    metavar="[stim] [rollout] [bake]",
    type=click.Choice(app.STAGES, case_sensitive=False),
)
@click.option(
    "--force",
    is_flag=True,
    help="Train a bake that is in the store again, and compare the digests: useful after a "
    "revert, or where its configuration is committed again.",
)
@click.option(
    "--again",
    is_flag=True,
    help="Have questions written anew that the base wrote, as the hosted model that was asked for "
    "them could not be reached. They, and what came of them, are kept aside.",
)
@click.option(
    "--detach",
    "-d",
    is_flag=True,
    help="Run in the background, and return: `bgit jobs` shows how far it is, `bgit fetch` "
    "records the bake.",
)
@click.option(
    "--now", is_flag=True, help="With --detach: do not wait for the other jobs of this store."
)
@click.option(
    "--no-wait",
    is_flag=True,
    help="If another process is making the same, say who and exit, instead of waiting for it.",
)
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(app.WAIVERS),
    help="Go on with poor `questions`, fewer than half of whose writer's replies are usable, or "
    "with a `teacher` that does not obey its prompt at all, with more answers than the `limits`, "
    "or with a bake that falls short of the `gate` of tests.yml. The recipe says so.",
)
@click.option(
    "--on",
    metavar="PLACE",
    help="Share questions and answers out over processes: `local-cluster` (`local-cluster:4` for "
    "four), or `ray://HOST:PORT`, a cluster that runs. What is made is the same.",
)
@click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    help="Let `fake` make up questions and answers in place of every model, to try a pipeline in "
    "seconds. Its name says so, and it cannot be downloaded or pushed.",
)
@process_options
@click.option(
    "--dry-run", is_flag=True, help="Only say what would be made, and what that would take."
)
@click.option(
    "--offline", is_flag=True, expose_value=False, callback=fetching.forbid,
    help="Fetch no weights that are missing here.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def run(
    stages: tuple[str, ...],
    force: bool,
    again: bool,
    detach: bool,
    now: bool,
    no_wait: bool,
    allow: tuple[str, ...],
    on: str | None,
    backend: str | None,
    dry_run: bool,
    as_json: bool,
    processes: Processes,
    not_heeded: list[str],
) -> None:
    """Run stages of the pipeline: stim, rollout, bake.

    Without a name all three run. What is there is kept: running it again makes what is missing.
    """
    if now and not detach:
        raise ConfigError("--now goes with --detach")
    if no_wait and detach:
        raise ConfigError(
            "--no-wait does not go with --detach: a job waits for its turn",
            hint="--now starts it beside the others.",
        )
    if processes.machines > 1 and detach:
        raise ConfigError(
            "--detach is for one machine: a bake on several is started on each of them",
            hint="`nohup`, tmux or a scheduler keeps it going there.",
        )
    repo = ModelRepo.find(backend=backend)
    chosen = [stage for stage in app.STAGES if not stages or stage in stages]
    if dry_run:
        found = check.dry_run(repo, chosen, processes=processes, on=on)
        show_check(found, as_json=as_json)
        return
    with reporter() as notes, ExitStack() as within:
        for text in not_heeded:
            notes.note(text)
        if again:
            within.enter_context(app.asked_again(repo, chosen, reporter=notes))
        if detach:
            begun = jobs.launch(
                repo, chosen, force=force, at_once=now, allow=allow, processes=processes,
                on=on, reporter=notes,
            )  # fmt: skip
        else:
            report = app.run(
                repo, chosen, force=force, wait=not no_wait, allow=allow, processes=processes,
                on=on, reporter=notes,
            )  # fmt: skip
    if detach:
        show_launched(begun, as_json=as_json)
    else:
        console.show_run(report, as_json=as_json)
        if report.refused is not None:
            raise report.refused
