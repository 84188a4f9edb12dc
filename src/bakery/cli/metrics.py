"""`bgit metrics`: what was logged while bakes were trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bakery.cli.said import Place
from bakery.errors import ConfigError
from bakery.repo.look import metrics as look
from bakery.repo.look.metrics import History, Source
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui import metrics as screen


@click.command()
@click.argument("bakes", metavar="[BAKE]...", nargs=-1)
@click.option(
    "-s",
    "--series",
    "names",
    metavar="NAME",
    multiple=True,
    help=f"Chart this instead of the loss: {', '.join(look.SERIES)}, or all.",
)
@click.option("--watch", is_flag=True, help="Follow a bake while it trains.")
@click.option("--csv", "as_csv", is_flag=True, help="Print every logged step as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print every logged step as JSON.")
@click.option(
    "--out",
    metavar="FILE",
    type=Place(dir_okay=False),
    help="Write a .png or .svg of the charts, or a .csv or .json of the figures.",
)
def metrics(
    bakes: tuple[str, ...],
    names: tuple[str, ...],
    watch: bool,
    as_csv: bool,
    as_json: bool,
    out: Path | None,
) -> None:
    """Show how training went: of BAKE, or of the bake that is configured or current.

    Several bakes share one chart.
    """
    if sum((as_csv, as_json, out is not None)) > 1 or (watch and (as_csv or out is not None)):
        raise ConfigError("--csv, --json and --out exclude one another; --watch goes with --json")
    repo = ModelRepo.find()
    sources = look.sources(repo, bakes, watch=watch)
    if watch:
        _watch(repo, sources, names, as_json)
        return
    found = look.logged(sources)
    shown = look.chosen(found.histories, names)
    if out is not None:
        screen.write(found, shown, out)
        screen.told_written(out)
    elif as_csv:
        click.echo(look.as_csv(found.histories), nl=False)
    elif as_json:
        console.show_json(found.as_data())
    else:
        screen.show(found.histories, shown)


def _watch(repo: ModelRepo, sources: Sequence[Source], names: Sequence[str], as_json: bool) -> None:
    """Follow bakes until each is done, or nobody makes it any more."""

    def read() -> list[History]:
        return [source.read() for source in sources]

    def is_over() -> bool:
        return look.is_over(repo, sources)

    if is_over() and not any(history.points for history in read()):
        raise look.nothing(sources[0].bake)
    screen.watch(read, is_over, names or ("loss",), as_json=as_json)
