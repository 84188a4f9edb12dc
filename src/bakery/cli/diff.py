"""`bgit diff`: two models by their recipes; of anything else git's diff."""

from __future__ import annotations

import click

from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, are_paths, arguments
from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show, unknown
from bakery.repo.look.diff import compare
from bakery.repo.model_repo import ModelRepo
from bakery.ui.diff import show_comparison


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[MODEL [MODEL]]")
@click.option(
    "--json", "as_json", is_flag=True, help="Compare models, of branches and tags too, as JSON."
)
@click.pass_context
def diff(context: click.Context, words: tuple[str, ...], as_json: bool) -> None:
    """Compare the recipes of two models, or anything else as git does.

    Of one model: with the model that it was baked on. What git knows by the same name is git's:
    give the model's whole name, as `bgit models` shows it.
    """
    if as_json and len(words) > 2:
        raise ConfigError("name one or two models", hint="`bgit models` lists them.")
    chosen = words or (("parent",) if as_json else ())
    found = None if are_paths(context) else _named(chosen, surely=as_json)
    if found is None:
        context.exit(passthrough.hand_to_git(["diff", *arguments(context)]))
    repo, old, new = found
    plans = show.plan_or_none(repo, old), show.plan_or_none(repo, new)
    show_comparison(compare(old, new, old_plan=plans[0], new_plan=plans[1]), as_json=as_json)


def _named(
    words: tuple[str, ...], *, surely: bool
) -> tuple[ModelRepo, RecordedBake, RecordedBake] | None:
    """Return the two bakes to compare; None where the words are git's."""
    try:
        repo = ModelRepo.find()
    except BakeryError:
        if surely:
            raise
        return None
    bakes = show.named(repo, words, surely=surely) if 0 < len(words) <= 2 else None
    if bakes is None:
        unknown.refuse(repo, words)
        return None
    if len(bakes) == 1 and bakes[0] is not None:
        parent = bakes[0].parent
        bakes.insert(0, repo.find_model(str(parent)) if parent else None)
    old, new = bakes[0], bakes[-1]
    if old is None or new is None:
        raise RepoError(
            f"{repo.state().base.name} is the base model: it has no recipe to compare with",
            hint="`bgit show MODEL` shows the recipe of one model.",
        )
    return repo, old, new
