"""`bgit eval`: everything that can be measured of a bake, kept beside it.

A model is found and its questions are gathered before anything is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bakery.app import apart, chat, eval_material, meaning, outputs
from bakery.app.meaning import Meant
from bakery.errors import ConfigError
from bakery.evals import kept
from bakery.evals.given import Given, inputs
from bakery.evals.given import Wanted as Wanted
from bakery.evals.report import EvalReport
from bakery.evals.suites import Suite, suite
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import output_dir


def evaluate(
    repo: ModelRepo | None,
    name: str,
    wanted: Wanted,
    *,
    against: str | None = None,
    reporter: Reporter,
) -> EvalReport:
    """Measure a model, and `against` another; what was measured before is read from the store.

    Raises ConfigError where nothing was baked into it, ModelError where weights are missing.
    """
    chosen = suite(wanted.suite, wanted.only, wanted.limit)
    given = eval_material.given(wanted.neutral, wanted.ifeval, wanted.canary)
    eval_material.refuse_unmeasured(given, chosen)
    both = [_found(repo, one) for one in (name, against) if one is not None]
    for meant in both:
        eval_material.check(meant, given)
    reports = [_measured(repo, meant, chosen, wanted, given, reporter) for meant in both]
    return replace(reports[0], against=reports[1]) if against is not None else reports[0]


def _found(repo: ModelRepo | None, name: str) -> Meant:
    meant = meaning.find(repo, name)
    meaning.without_prompt(meant, "eval")
    meaning.with_own_teacher(meant, "eval")
    if not meaning.targets(meant):
        raise ConfigError(
            f"{meant.name} was not baked here, so there is no prompt to measure it against",
            hint="Name a bake of this repository (`bgit models` lists them), or a bake's folder.",
        )
    return meant


def _measured(
    repo: ModelRepo | None,
    meant: Meant,
    chosen: Suite,
    wanted: Wanted,
    given: Given,
    reporter: Reporter,
) -> EvalReport:
    said = inputs(wanted, given)
    if meant.strength != 1:
        said["strength"] = f"{meant.strength:g}"
    folder, step = _place(meant)
    if folder is not None and not wanted.again:
        before = kept.found(folder, step, chosen.name, said)
        if before is not None:
            reporter.note(f"{meant.name}: as measured on {before.finished}; --again measures anew")
            return before
    report = _now(repo, meant, chosen, given, said, reporter)
    if folder is not None:
        with _held(repo, meant, folder):
            kept.put(folder, step, report)
    return report


def _now(
    repo: ModelRepo | None,
    meant: Meant,
    chosen: Suite,
    given: Given,
    said: Mapping[str, str],
    reporter: Reporter,
) -> EvalReport:
    """Load a model and measure it."""
    subjects = eval_material.subjects(repo, meant, given)
    opened = chat.opened(meant, reporter=reporter)
    opened.turn()
    began = time.process_time()

    from bakery.engine.models.adapter_folder import SLICES
    from bakery.engine.models.versions import versions
    from bakery.evals.chain import Chain
    from bakery.evals.evaluation import measure
    from bakery.evals.sides import of_bake

    first = subjects[0]
    sides = of_bake(opened.local, opened.dial, first.teacher, first.student)
    material = eval_material.material(repo, meant, subjects, given)
    sliced = meant.folder is not None and (meant.folder / SLICES).is_file()
    chain = None
    if sliced and meant.folder:
        chain = Chain(opened.local, meant.folder, apart.earlier(repo, meant, reporter))
    axes = measure(sides, chain, material, chosen, reporter=reporter)
    return EvalReport(
        meant.name,
        chosen.name,
        said,
        axes,
        time.process_time() - began,
        versions(opened.local.base.unpacked),
        datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _held(repo: ModelRepo | None, meant: Meant, folder: Path) -> AbstractContextManager[None]:
    if repo is None or meant.bake is None:
        return output_dir.held(folder)
    return repo.store.lock(folder, "bgit eval", wait_s=10)


def _place(meant: Meant) -> tuple[Path | None, int]:
    """Return the folder of a bake where evaluations are kept, and the step that is meant.

    None: of a folder that no repository knows, nothing is written there. A bake of the `bakery`
    command has no steps.
    """
    if meant.folder is None:
        return None, 0
    if meant.bake is None:
        left = outputs.beside(meant.folder)
        return (left.folder if left else None), 0
    return meant.folder.parent, int(meant.folder.name)
