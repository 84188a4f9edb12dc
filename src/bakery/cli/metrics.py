"""`bgit metrics`: the loss curve of a bake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from bakery.errors import StageError
from bakery.records import read_rows
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console


@dataclass(frozen=True, slots=True)
class Point:
    """One logged step. None: the trainer did not log that figure there."""

    step: int
    epoch: float | None = None
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None


@click.command()
@click.argument("bake", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print every logged step as JSON.")
def metrics(bake: str | None, as_json: bool) -> None:
    """Show how the loss of a bake fell: of BAKE, or of the one that is configured or current."""
    repo = ModelRepo.find()
    name, path = _which(repo, bake)
    points = [point for point in read_rows(path, Point) if point.loss is not None]
    if not points:
        raise StageError(
            f"{name} has no metrics on this machine",
            hint="They are written while `bgit run bake` trains.",
        )
    console.show_metrics(name, points, as_json=as_json)


def _which(repo: ModelRepo, bake: str | None) -> tuple[str, Path]:
    """Return a bake's name and the file of its metrics."""

    def path(bake_id: str) -> Path:
        return repo.store.bake(bake_id) / "metrics.jsonl"

    if bake is not None:
        found = repo.find_model(bake)
        if found is None:
            raise StageError(f"{bake} is the base model: it was not baked here")
        return found.name, path(found.id)
    plan, bakes = repo.plan(), repo.bakes()
    if plan.bake is not None and plan.bake_name is not None:
        configured = path(plan.bake.id)
        if configured.exists() or not bakes:
            return plan.bake_name, configured
    if not bakes:
        raise StageError("nothing has been baked yet", hint="`bgit run` bakes what input.yml says.")
    return bakes[-1].name, path(bakes[-1].id)
