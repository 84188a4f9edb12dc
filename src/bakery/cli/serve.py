"""`bgit serve`: the models of the repository behind OpenAI's API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bakery.cli import fetching
from bakery.cli.said import SAID, Place
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter
from bakery.ui.serve import show_serving

if TYPE_CHECKING:
    from bakery.app.verify import Verified

PORT = 8000


@click.command()
@click.argument("names", nargs=-1, type=SAID, metavar="[MODEL]...")
@click.option(
    "--host",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="Where to listen; beyond this machine only with --token-file.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    metavar="N",
    show_default=True,
    help="The port; 0 takes any that is free.",
)
@click.option(
    "--token-file",
    type=Place(dir_okay=False),
    metavar="FILE",
    help="Answer only who has one of the tokens in this file, one a line.",
)
@click.option(
    "--rows",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="How many answers are decoded at once; more wait. 32, or what the engine has chosen.",
)
@click.option(
    "--engine",
    type=click.Choice(["vllm", "llama.cpp"]),
    help="Hand over to an engine that is installed here; MODELs are loaded at once.",
)
@click.option(
    "--engine-path",
    type=Place(dir_okay=False),
    metavar="FILE",
    help="The engine's executable, where it is not on the PATH.",
)
@click.option(
    "--check",
    "checked",
    type=SAID,
    metavar="MODEL",
    multiple=True,
    help="Is the running server's MODEL this bake? With --engine, before it serves.",
)
@click.option(
    "--offline", is_flag=True, expose_value=False, callback=fetching.forbid,
    help="Fetch no weights that are missing here.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print where it is as JSON.")
@click.pass_context
def serve(
    context: click.Context,
    names: tuple[str, ...],
    host: str,
    port: int,
    token_file: Path | None,
    rows: int | None,
    engine: str | None,
    engine_path: Path | None,
    checked: tuple[str, ...],
    as_json: bool,
) -> None:
    """Answer as every model of the repository, by OpenAI's API.

    A request's `model` is any name that `bgit chat` takes, but for folders: a bake's, a branch,
    `base`, `parent`, with `:0.5` at half its strength, with `@prompted` its parent behind the
    prompt. New bakes are there at once.
    """
    from bakery.server import guard, running
    from bakery.server.handed import opening
    from bakery.ui.verify import show_verified

    repo = ModelRepo.find()
    if engine is None and checked:
        found = _asked(repo, checked, names, host, port)
        show_verified(found, as_json=as_json)
        context.exit(0 if found.what == "bake" else 1)
    if engine is None and (names or engine_path):
        raise ConfigError(
            f"{'--engine-path' if engine_path else names[0]} is for --engine: without one, every "
            "model is served, loaded when it is asked for",
            hint="`bgit serve` alone; or name an engine.",
        )
    tokens = guard.tokens(token_file) if token_file is not None else ()
    with reporter() as shown:
        where: dict[str, Any] = {"host": host, "port": port, "tokens": tokens, "reporter": shown}
        if engine is None:
            opened = running.opened(repo, **where, rows=rows or running.ROWS)
        else:
            wanted = opening.Wanted(engine, engine_path, names, checked, rows)
            opened = opening.opened(repo, wanted, **where)
        with opened as server:
            wrong = [one for one in server.verified if one.what != "bake"]
            for one in wrong[:1] if as_json else server.verified:
                show_verified(one, as_json=as_json)
            if wrong:
                context.exit(1)
            show_serving(server.serving, as_json=as_json)
            server.run()


def _asked(
    repo: ModelRepo, checked: tuple[str, ...], names: tuple[str, ...], host: str, port: int
) -> Verified:
    """Ask a server that runs what it is."""
    from bakery.app import verify
    from bakery.server import running

    if len(checked) > 1 or len(names) > 1:
        raise ConfigError(
            "a running server is asked about one model at a time",
            hint="`bgit serve --check MODEL [URL]`; the URL is that of --host and --port.",
        )
    here = running.ANYWHERE.get(host, host)
    here = f"[{here}]" if ":" in here else here
    url = names[0] if names else f"http://{here}:{port}/v1"
    with reporter() as shown:
        return verify.verify(repo, url, checked[0], reporter=shown)
