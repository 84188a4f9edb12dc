"""`bgit check`: is input.yml right, and what would a run of it make and take?"""

from __future__ import annotations

from pathlib import Path

import click

from bakery.errors import BakeryError, ConfigError
from bakery.repo.checks import INPUT
from bakery.repo.forecast import Forecast, forecast
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.forecast import show_forecast


class CheckError(BakeryError):
    """A file that would not run: like every check, it fails with 1."""


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, problems too.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of input.yml, for editors.")
def check(file: Path | None, as_json: bool, schema: bool) -> None:
    """Validate input.yml, and print what a run would make and take.

    FILE is read as if it were the input.yml of this repository. Ends with 1 where it cannot run.
    """
    if schema:
        from bakery.schema.json_schema import text

        print(text(), end="")
        return
    source = INPUT if file is None else str(file)
    try:
        found = _forecast(file, source)
    except ConfigError as error:
        if as_json:
            problems = error.message.split("\n")
            console.show_json(
                {"valid": False, "source": source, "problems": problems, "hint": error.hint}
            )
            raise SystemExit(1) from error
        raise CheckError(error.message, hint=error.hint) from error
    show_forecast(found, source=source, as_json=as_json)


def _forecast(file: Path | None, source: str) -> Forecast:
    repo = ModelRepo.find()
    if file is None:
        return forecast(repo, repo.plan("worktree"))
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    return forecast(repo, repo.plan_of(text, source))
