"""`bgit eval`: everything that can be measured of a bake."""

from __future__ import annotations

from typing import Any

import click

from bakery.app import eval as app
from bakery.cli.evaluating import evaluation_options
from bakery.repo.model_repo import ModelRepo
from bakery.ui.eval import show_evaluation
from bakery.ui.progress import reporter


@click.command("eval")
@click.argument("model", default="parent", metavar="[MODEL]")
@evaluation_options
def evaluate(model: str, against: str | None, as_json: bool, **asked: Any) -> None:
    """Measure how near a bake is to its prompt, and what it cost.

    MODEL is any name that `bgit models` shows, or the folder of a bake; without one the current
    model. AXIS is fidelity, drift, persistence, steerability, leakage, forgetting, capability or
    cost. What was found is kept beside the bake.
    """
    repo = ModelRepo.find() if model == "parent" else ModelRepo.here()
    with reporter() as shown:
        found = app.evaluate(repo, model, app.Wanted(**asked), against=against, reporter=shown)
    show_evaluation(found, as_json=as_json)
