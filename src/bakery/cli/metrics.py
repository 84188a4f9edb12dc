"""`bgit metrics`: what was logged while bakes were trained."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from bakery.errors import ConfigError, RepoError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console, series
from bakery.ui import metrics as screen
from bakery.ui.series import History

Source = tuple[str, Path]
"""A bake's name, and its folder."""

_ID = re.compile(r"(?:\S*_)?([0-9a-f]{16})")


@click.command()
@click.argument("bakes", metavar="[BAKE]...", nargs=-1)
@click.option(
    "-s",
    "--series",
    "names",
    metavar="NAME",
    multiple=True,
    help=f"Chart this instead of the loss: {', '.join(series.SERIES)}, or all.",
)
@click.option("--watch", is_flag=True, help="Follow a bake while it is trained.")
@click.option("--csv", "as_csv", is_flag=True, help="Print every logged step as CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print every logged step as JSON.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
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

    Several bakes are laid over one another.
    """
    if sum((as_csv, as_json, out is not None)) > 1 or (watch and (as_csv or out is not None)):
        raise ConfigError("--csv, --json and --out exclude one another; --watch goes with --json")
    repo = ModelRepo.find()
    sources = [_named(repo, bake) for bake in dict.fromkeys(bakes)] or [_current(repo, watch)]
    if watch:
        _watch(repo, sources, names, as_json)
        return
    histories = _read(sources)
    for history, (name, _) in zip(histories, sources, strict=True):
        if not history.points:
            raise _nothing(name)
    shown = series.chosen(histories, names)
    if out is not None:
        screen.write(histories, shown, out)
        screen.told_written(out)
    elif as_csv:
        click.echo(series.as_csv(histories), nl=False)
    elif as_json:
        console.show_json(screen.as_data(histories))
    else:
        screen.show(histories, shown)


def _watch(repo: ModelRepo, sources: Sequence[Source], names: Sequence[str], as_json: bool) -> None:
    """Follow bakes until each is done, or nobody makes it any more."""

    def is_over() -> bool:
        return not any(
            repo.store.held_since(folder) is not None and not (folder / "done.json").exists()
            for _, folder in sources
        )

    histories = _read(sources)
    if is_over() and not any(history.points for history in histories):
        raise _nothing(sources[0][0])
    screen.watch(lambda: _read(sources), is_over, names or ("loss",), as_json=as_json)


def _read(sources: Sequence[Source]) -> list[History]:
    return [series.read(name, folder / "metrics.jsonl") for name, folder in sources]


def _nothing(name: str) -> StageError:
    return StageError(
        f"{name} has no metrics on this machine",
        hint="They are written while `bgit run bake` trains.",
    )


def _named(repo: ModelRepo, text: str) -> Source:
    """Return the bake that a name means: a recorded one, or one of the store's own."""
    try:
        found = repo.find_model(text)
    except RepoError:
        unrecorded = _ID.fullmatch(text)
        if unrecorded is None or not repo.store.bake(unrecorded[1]).is_dir():
            raise
        return text, repo.store.bake(unrecorded[1])
    if found is None:
        raise RepoError(f"{text} is the base model: it was not baked here")
    return found.name, repo.store.bake(found.id)


def _current(repo: ModelRepo, watch: bool) -> Source:
    """Return the bake that is configured, where it has begun; else the last one."""
    plan, bakes = repo.plan(), repo.bakes()
    if plan.bake is not None and plan.bake_name is not None:
        folder = repo.store.bake(plan.bake.id)
        if watch or not bakes or (folder / "metrics.jsonl").exists():
            return plan.bake_name, folder
    if not bakes:
        raise StageError("nothing has been baked yet", hint="`bgit run` bakes what input.yml says.")
    return bakes[-1].name, repo.store.bake(bakes[-1].id)
