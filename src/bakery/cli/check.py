"""`bgit check`: is input.yml right, and what would a run of it make and take?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bakery.app import run
from bakery.errors import BakeryError, ConfigError
from bakery.repo.commits.checks import INPUT
from bakery.repo.look.check import forecast
from bakery.repo.look.forecasts import Forecast, TargetForecast
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from bakery.ui.check import show_forecast
from bakery.ui.progress import reporter

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan

_WRITTEN = ("oneshot_qs", "custom")
"""The generators that ask a model."""


class CheckError(BakeryError):
    """A file that would not run: like every check, it fails with 1."""


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, problems too.")
@click.option(
    "--sample",
    is_flag=True,
    help="Load the parent, and show three answers of it without the prompt and with it.",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of input.yml, for editors.")
def check(file: Path | None, as_json: bool, sample: bool, schema: bool) -> None:
    """Validate input.yml, and print what a run would make and take.

    FILE is read as if it were the input.yml of this repository. Ends with 1 where it cannot run.
    """
    if schema:
        from bakery.schema.json_schema import text

        print(text(), end="")
        return
    source = INPUT if file is None else str(file)
    try:
        repo = ModelRepo.find()
        plan = repo.plan("worktree") if file is None else repo.plan_of(_text(file), source)
        found = _forecast(repo, plan)
    except ConfigError as error:
        if as_json:
            problems = error.message.split("\n")
            console.show_json(
                {"valid": False, "source": source, "problems": problems, "hint": error.hint}
            )
            raise SystemExit(1) from error
        raise CheckError(error.message, hint=error.hint) from error
    if not sample:
        show_forecast(found, source=source, as_json=as_json)
        return
    with reporter() as notes:
        looks, others = run.looked_at(repo, plan, notes)
    show_forecast(found, source=source, as_json=as_json, looks=looks, others=others)


def _forecast(repo: ModelRepo, plan: Plan) -> Forecast:
    _check_rank(repo, plan)
    found = forecast(repo, plan, run.machine(plan))
    warnings = (*found.warnings, *_unasked(repo, found))
    return replace(found, warnings=warnings, targets=tuple(_with_own_prompt(found, plan)))


def _with_own_prompt(found: Forecast, plan: Plan) -> Iterator[TargetForecast]:
    """Yield the targets with what the template writes where their student has no system prompt."""
    from bakery.engine.text.template import own_prompt

    own = own_prompt(plan.head.base) if plan.targets else None
    for target, planned in zip(found.targets, plan.targets, strict=True):
        if own is None or any(m["role"] == "system" for m in planned.student.messages):
            yield target
        else:
            yield replace(target, template_prompt=(own.text, own.tokens))


def _check_rank(repo: ModelRepo, plan: Plan) -> None:
    """Refuse a rank that is too large for the chain, where the parent's weights are here."""
    from bakery.engine.models import adapter_folder, chains

    parent = plan.head.parent
    folder = repo.store.bake(parent.bake_id) / str(parent.step) if parent else None
    if plan.bake and (folder is None or (folder / adapter_folder.SLICES).is_file()):
        chains.check_rank(plan.bake.training.r, folder)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text", hint="Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _unasked(repo: ModelRepo, found: Forecast) -> Iterator[str]:
    """Yield a sentence for each hosted model that this environment has no key or address for."""
    from bakery.backends.endpoint import endpoint_for
    from bakery.schema.model_names import kind_of

    open_ones = [target for target in found.targets if target.stim.state != "complete"]
    asked = [w.writer for target in open_ones for w in target.generators if w.type in _WRITTEN]
    for model in dict.fromkeys(name for name in asked if name != found.base):
        kind = kind_of(model)
        if kind == "hosted" or (kind == "word" and not repo.names_bake(model)):
            reason = endpoint_for(model)
            if isinstance(reason, str):
                instead = f"{found.base} would write them instead"
                yield f"{model} cannot write the questions: {reason}; {instead}"
