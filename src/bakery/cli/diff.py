"""`bgit diff`: two models by their recipes; of anything else git's diff."""

from __future__ import annotations

import click

from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, are_paths, arguments, repository
from bakery.errors import ConfigError
from bakery.repo.look import diff as look
from bakery.repo.model_repo import ModelRepo
from bakery.ui.diff import show_comparison, show_differed
from bakery.ui.progress import reporter


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[MODEL [MODEL]]")
@click.option(
    "--json", "as_json", is_flag=True, help="Compare models, of branches and tags too, as JSON."
)
@click.option("--weights", is_flag=True, help="How far apart the weights are, layer by layer.")
@click.option(
    "--behaviour", is_flag=True, help="Ask both models, and show which answers moved most."
)
@click.pass_context
def diff(
    context: click.Context, words: tuple[str, ...], as_json: bool, weights: bool, behaviour: bool
) -> None:
    """Compare the recipes of two models, or anything else as git does.

    Of one model: with the model that it was baked on. What git knows by the same name is git's:
    give the model's whole name, as `bgit models` shows it. --weights and --behaviour compare
    models in any case, the base, too.
    """
    surely = as_json or weights or behaviour
    if surely and len(words) > 2:
        raise ConfigError("name one or two models", hint="`bgit models` lists them.")
    if weights or behaviour:
        from bakery.app import diff as app  # here: recipes alone need no use case

        with reporter() as shown:
            differed = app.diff(
                ModelRepo.find(), words, weights=weights, behaviour=behaviour, reporter=shown
            )
        show_differed(differed, as_json=as_json)
        return
    chosen = words or (("parent",) if as_json else ())
    repo = repository(surely=as_json)
    found = None
    if repo is not None and not are_paths(context):
        found = look.diff(repo, chosen, surely=as_json)
    if found is None:
        context.exit(passthrough.hand_to_git(["diff", *arguments(context)]))
    show_comparison(found, as_json=as_json)
