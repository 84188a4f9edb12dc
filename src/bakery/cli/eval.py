"""`bgit eval`: everything that can be measured of a bake."""

from __future__ import annotations

import click

from bakery.app import eval as app
from bakery.repo.model_repo import ModelRepo
from bakery.ui.eval import show_evaluation
from bakery.ui.progress import reporter


@click.command("eval")
@click.argument("model", default="parent", metavar="[MODEL]")
@click.option(
    "--suite",
    default="quick",
    metavar="NAME",
    help="How much: quick, the default, or full (more questions, longer answers).",
)
@click.option("--only", multiple=True, metavar="AXIS", help="Measure this alone; repeatable.")
@click.option("--against", metavar="MODEL", help="Put another model's figures beside.")
@click.option(
    "--limit", type=click.IntRange(1), metavar="N", help="Ask at most so many questions each."
)
@click.option("--neutral", metavar="FILE|ID", help="Questions where the prompt should not matter.")
@click.option("--ifeval", metavar="FILE|ID", help="Instructions with checks, in IFEval's form.")
@click.option("--canary", metavar="TEXT", help="A secret of the prompt that must not come out.")
@click.option("--again", is_flag=True, help="Measure anew what was measured in the same way.")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON.")
def evaluate(
    model: str,
    suite: str,
    only: tuple[str, ...],
    against: str | None,
    limit: int | None,
    neutral: str | None,
    ifeval: str | None,
    canary: str | None,
    again: bool,
    as_json: bool,
) -> None:
    """Measure how near a bake is to its prompt, and what it cost.

    MODEL is any name that `bgit models` shows, or the folder of a bake; without one the current
    model. AXIS is fidelity, drift, persistence, steerability, leakage, forgetting, capability or
    cost. What was found is kept beside the bake.
    """
    repo = ModelRepo.find() if model == "parent" else ModelRepo.here()
    wanted = app.Wanted(suite, only, limit, neutral, ifeval, canary, again)
    with reporter() as shown:
        found = app.evaluate(repo, model, wanted, against=against, reporter=shown)
    show_evaluation(found, as_json=as_json)
