"""`bgit publish`: a baked model as a repository of the Hugging Face Hub."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import cast, get_args

import click

from bakery.app import download
from bakery.app import publish as app
from bakery.app.model_card import Form, Part
from bakery.cli.said import SAID
from bakery.errors import ConfigError
from bakery.remotes import addresses
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.publish import ask, say_unsent, show_publication, show_published


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[MODEL] hf://OWNER/NAME[@BRANCH]")
@click.option("-c", "--checkpoint", type=click.IntRange(min=1), metavar="STEP",
              help="The step to take, if the bake kept several; by default the last.")  # fmt: skip
@click.option("--public", is_flag=True, help="For everybody to see; by default it is private.")
@click.option("--merged", is_flag=True, help="The whole model, with the adapter in its weights.")
@click.option("--format", "form", type=click.Choice(["gguf"]),
              help="gguf: for llama.cpp, Ollama and LM Studio, verified by reading it "
              "back.")  # fmt: skip
@click.option("--dtype", type=click.Choice(download.DTYPES), default="auto", show_default=True,
              help="Type of merged weights, or of GGUF's.")  # fmt: skip
@click.option("--rank", type=click.IntRange(min=1), metavar="R",
              help="The nearest adapter of at most this rank, and what that costs.")  # fmt: skip
@click.option("--without", metavar="PART,…", type=SAID,
              help="Leave out `examples` (answers), or `prompt`, with which they go, "
              "too.")  # fmt: skip
@click.option("--licence", metavar="NAME", type=SAID,
              help="What the card names, where the base does not say it.")  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
@click.option("-y", "--yes", is_flag=True, help="Send it without a question.")
@click.option("--json", "as_json", is_flag=True, help="Print what was published as JSON.")
@click.pass_context
def publish(
    context: click.Context,
    words: tuple[str, ...],
    checkpoint: int | None,
    public: bool,
    merged: bool,
    form: Form | None,
    dtype: str,
    rank: int | None,
    without: str | None,
    licence: str | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Make a model repository on the Hugging Face Hub from a model.

    MODEL is any name that `bgit models` shows, else the current one. Its adapter goes up with a
    card and the recipe, or what --merged and --format say, as `bgit download` writes it: first
    shown, then sent in one commit once you have said yes. The key is HF_TOKEN, or what `hf auth
    login` left.
    """
    model, address = _named(words)
    wanted = app.Wanted(
        download.Wanted(None, form or "folder", merged, dtype, rank=rank),
        public=public, without=_parts(without), licence=licence, dry_run=dry_run,
    )  # fmt: skip
    if not (yes or dry_run) and (as_json or not sys.stdin.isatty()):
        raise ConfigError(
            "nobody is here to say yes to what goes out",
            hint="--yes sends it without a question; --dry-run shows what it would be.",
        )
    with ExitStack() as stack:
        with reporter() as shown:
            making = app.prepared(
                ModelRepo.find(), model, address, wanted, step=checkpoint, reporter=shown
            )
            found = stack.enter_context(making)
        if not as_json:
            show_publication(found)
        if dry_run:
            done = app.Published(found, None, 0, is_new=False)
        elif found.is_done or yes or ask(found):
            with reporter() as shown:
                done = app.send(found, shown)
        else:
            say_unsent()
            context.exit(1)
    show_published(done, is_dry=dry_run, as_json=as_json)


def _named(words: tuple[str, ...]) -> tuple[str, str]:
    """Return the model and the address, in whichever order they were typed."""
    places = [word for word in words if addresses.is_on_hub(word)]
    models = [word for word in words if word not in places]
    if len(places) != 1 or len(models) > 1:
        raise click.UsageError("name one address, hf://OWNER/NAME, and at most one model")
    return (models[0] if models else "parent"), places[0]


def _parts(said: str | None) -> frozenset[Part]:
    known = get_args(Part)
    parts = [one.strip() for one in said.split(",")] if said else []
    if wrong := [one for one in parts if one not in known]:
        raise ConfigError(
            f"--without {wrong[0]!r} is no part that can be left out",
            hint=f"There are: {', '.join(known)}.",
        )
    return frozenset(cast(list[Part], parts))
