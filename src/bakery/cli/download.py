"""`bgit download`: a model's weights as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from bakery.app import download as app
from bakery.app.model_card import Form
from bakery.cli.said import Place
from bakery.repo.model_repo import ModelRepo
from bakery.ui.download import show_exported
from bakery.ui.progress import reporter


@click.command()
@click.argument("model", default="parent", metavar="[MODEL]")
@click.option("-c", "--checkpoint", type=click.IntRange(min=1), metavar="STEP",
              help="The step to take, if the bake kept several; by default the last.")  # fmt: skip
@click.option(
    "--out",
    "-o",
    type=Place(),
    help="Where to write; by default here, under the bake's name.",
)
@click.option("--merged", is_flag=True, help="The whole model, with the adapter in its weights.")
@click.option("--format", "form", type=click.Choice(get_args(Form)),
              help="By default as the ending of --out says, else a folder. gguf: for llama.cpp, "
              "Ollama and LM Studio, verified by reading it back.")  # fmt: skip
@click.option("--dtype", type=click.Choice(app.DTYPES), default="auto", show_default=True,
              help="Type of merged weights, or of GGUF's.")  # fmt: skip
@click.option("--rank", type=click.IntRange(min=1), metavar="R",
              help="The nearest adapter of at most this rank, and what that costs.")  # fmt: skip
@click.option("--base", is_flag=True,
              help="With --format gguf: the base that MODEL lies on, for its LoRA.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace an export that is there already.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def download(
    model: str,
    checkpoint: int | None,
    out: Path | None,
    merged: bool,
    form: Form | None,
    dtype: str,
    rank: int | None,
    base: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write a model's weights to a folder or an archive.

    MODEL is any name that `bgit models` shows, else the current one. Without --merged it is the
    adapter, as PEFT, vLLM and others read it; a model's whole chain of bakes is in it. With
    --format gguf `base` is a model, too.
    """
    wanted = app.Wanted(out, form, merged, dtype, force, rank, base)
    with reporter() as shown:
        found = app.download(ModelRepo.find(), model, wanted, step=checkpoint, reporter=shown)
    show_exported(found, as_json=as_json)
