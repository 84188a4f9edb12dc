"""`bgit show`: the record of a bake; of anything else what git shows."""

from __future__ import annotations

import click

from bakery.cli import passthrough
from bakery.cli.raw import RawCommand, are_paths, arguments, repository
from bakery.errors import ConfigError, RepoError
from bakery.repo.look import show as look
from bakery.ui.console import say_file
from bakery.ui.show import show_base, show_record


@click.command(cls=RawCommand, context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[MODEL]")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.option("--input", "as_input", is_flag=True, help="Print the input.yml it was baked from.")
@click.option("--recipe", "as_recipe", is_flag=True, help="Print its block of recipe.yml.")
@click.pass_context
def show(
    context: click.Context,
    words: tuple[str, ...],
    as_json: bool,
    as_input: bool,
    as_recipe: bool,
) -> None:
    """Show how a model was made, or any object of git.

    MODEL is a full name, a bake's name, the first digits of its id, `parent` (the current model)
    or `base`. What git knows by the same name, and everything else, is shown by git.
    """
    ours = as_json or as_input or as_recipe
    repo = repository(surely=ours)
    if ours and len(words) > 1:
        raise ConfigError("name one model", hint="`bgit models` lists them.")
    chosen = words or (("parent",) if ours else ())
    named = None
    if repo is not None and not are_paths(context):
        named = look.named(repo, chosen, most=1, surely=ours)
    if repo is None or named is None:
        context.exit(passthrough.hand_to_git(["show", *arguments(context)]))
    (bake,) = named
    if bake is not None and as_input:
        say_file(look.configuration(repo, bake))
    elif bake is not None and as_recipe:
        say_file(bake.block)
    elif bake is not None:
        show_record(look.describe(repo, bake), as_json=as_json)
    elif as_input or as_recipe:
        raise RepoError(f"{repo.state().base.name} is the base model: it was not baked here")
    else:
        show_base(repo.state().base, as_json=as_json)
