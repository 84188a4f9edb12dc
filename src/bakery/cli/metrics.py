"""`bgit metrics`: the loss curve of a bake."""

from __future__ import annotations

from dataclasses import dataclass

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
    name, bake_id = _which(repo, bake)
    path = repo.store.bake(bake_id) / "metrics.jsonl"
    points = [point for point in read_rows(path, Point) if point.loss is not None]
    if not points:
        raise StageError(
            f"{name} has no metrics on this machine",
            hint="They are written while `bgit run bake` trains.",
        )
    console.show_metrics(name, points, as_json=as_json)


def _which(repo: ModelRepo, bake: str | None) -> tuple[str, str]:
    if bake is not None:
        found = repo.find_model(bake)
        if found is None:
            raise StageError(f"{bake} is the base model: it was not baked here")
        return found.name, found.id
    plan = repo.plan()
    if plan.bake is not None and plan.bake_name is not None:
        return plan.bake_name, plan.bake.id
    bakes = repo.bakes()
    if not bakes:
        raise StageError("nothing has been baked yet", hint="`bgit run` bakes what input.yml says.")
    return bakes[-1].name, bakes[-1].id
