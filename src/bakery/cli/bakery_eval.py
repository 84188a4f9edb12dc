"""`bakery eval`: everything that can be measured of what the `bakery` command baked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bakery.app import eval as app
from bakery.app import meaning, outputs
from bakery.app import test as testing
from bakery.cli.evaluating import evaluation_options
from bakery.ui.console import say, show_json
from bakery.ui.eval import show_evaluation
from bakery.ui.progress import reporter
from bakery.ui.test import show_results


@click.command("bakery eval", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder")
@evaluation_options
@click.option(
    "--tests", metavar="FILE", help="A file of tests, as bgit takes it: check the answers, too."
)
@click.pass_context
def evaluate(
    context: click.Context,
    /,
    folder: str,
    against: str | None,
    tests: str | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Measure how near a bake is to its prompt, and what it cost.

    FOLDER, and the MODEL of --against, are output_dirs of finished bakes. AXIS is fidelity, drift,
    persistence, steerability, leakage, capability or cost; docs/eval.md explains each. What was
    found is kept in FOLDER (eval.json). Exits with 1 where the bake fails a test that the prompted
    model passes.
    """
    name, *others = (str(outputs.adapter_of(one)) for one in (folder, against) if one is not None)
    suite = testing.of_file(Path(tests)) if tests is not None else None
    with reporter() as shown:
        other = next(iter(others), None)
        found = app.evaluate(None, name, app.Wanted(**asked), against=other, reporter=shown)
        meant = meaning.find(None, name)
        tested = testing.of_model(None, meant, suite, reporter=shown) if suite else None
    if as_json:
        show_json(found.as_data() | ({"tests": tested.as_data()} if tested else {}))
    else:
        show_evaluation(found, help_at="docs/eval.md")
        if tested:
            say("")
            show_results(tested)
    context.exit(0 if tested is None or tested.passed else 1)
