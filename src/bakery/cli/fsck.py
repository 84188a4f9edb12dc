"""`bgit fsck`: are git's objects whole, and is the store what recipes say?"""

from __future__ import annotations

import click

from bakery.app import fsck as app
from bakery.app import remote_check
from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, alone_with, arguments, for_git, is_said, repository
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.fsck import show_checked
from bakery.ui.progress import reporter
from bakery.ui.weights import show_remote_checked

OURS = {
    "--weights-only": False,
    "--no-weights": False,
    "--remote": False,
    "--deep": False,
    "--json": False,
}

FOUND = 1
NOT_RUN = 128
"""From here on, git's code says that it did not do what was asked."""


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF GIT]...")
@click.option("--weights-only", is_flag=True, help="Check the store alone, not git's objects.")
@click.option("--no-weights", is_flag=True, help="Check git's objects alone, as `git fsck` does.")
@click.option("--remote", is_flag=True, help="Check the remote of weights, and it alone.")
@click.option("--deep", is_flag=True, help="With --remote: every byte of it, which is fetched.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_context
def fsck(
    context: click.Context,
    words: tuple[str, ...],
    weights_only: bool,
    no_weights: bool,
    remote: bool,
    deep: bool,
    as_json: bool,
) -> None:
    """Check git's objects, then the store against recipes.

    The digests of weights, questions and answers are compared over all branches and tags, and
    each file with what its stage said. Each finding says what mends it.
    Options of git's are git's; with --connectivity-only heads and sizes are read and no more,
    with --no-dangling what nothing needs is not listed. Exits with 1 if anything is wrong.
    """
    if deep and not remote:
        raise ConfigError("--deep goes with --remote", hint="The store's bytes are read anyway.")
    if remote:
        alone_with(context, "--remote", {"--deep", "--json"})
        with reporter() as shown:
            there = remote_check.check(ModelRepo.find(), deep=deep, reporter=shown)
        show_remote_checked(there, as_json=as_json)
        context.exit(0 if there.is_sound else FOUND)
    if weights_only and no_weights:
        raise ConfigError("--weights-only and --no-weights leave nothing to check")
    repo, code = repository(surely=weights_only or as_json), 0
    if not weights_only:
        out = passthrough.STDERR if as_json else None
        code = passthrough.hand_to_git(["fsck", *for_git(context, OURS)], out=out)
    if repo is None or no_weights or code >= NOT_RUN:
        context.exit(code)
    typed = arguments(context)
    whole = not is_said(typed, "connectivity-only")
    dangling = is_said(typed, "dangling", unsaid=True)
    with reporter() as shown:
        found = app.fsck(repo, whole=whole, dangling=dangling, reporter=shown)
    show_checked(found, as_json=as_json)
    context.exit(code or (0 if found.is_sound else FOUND))
