"""The look at three answers that is taken before a target's questions are answered.

Once for each target on each parent: what was seen is kept beside the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from bakery.app import gates
from bakery.app.opening import Models
from bakery.app.workbench import Workbench
from bakery.identity import StimRequest
from bakery.records import FAKE, Message
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.reporting import Reporter
from bakery.schema.model_names import HOSTED
from bakery.store import results
from bakery.variables import Values

if TYPE_CHECKING:
    from bakery.stages.look import Look

_OF_A_PERSON = ("hardcoded", "from_dataset")
"""Questions that are looked at first: they are what the prompt is for."""


Read = Callable[[str], bytes]
"""Gives the bytes of a data file that input.yml names."""


def before_answers(
    bench: Workbench, models: Models, plan: Plan, allow: Collection[str], reporter: Reporter
) -> list[Look]:
    """Look at every target that is yet to be answered, report what is seen, and stop if need be.

    Where only the waiver of a stop is new, nothing is asked again.
    """
    from bakery.stages import look as stage

    found = []
    for target in plan.targets:
        folder = bench.store.target(target.rollout.id)
        if results.is_done(folder):
            continue
        if why := why_not(models, target):
            if target.rollout.teacher != target.student:
                reporter.note(f"not looked at before it starts: {why}")
            continue
        seen = stage.read(folder)
        if seen is None:
            seen = look(bench, models, target, bench.reader("index"))
            stage.write(folder, seen)
            reporter.note(seen.text())
            for warning in seen.warnings:
                reporter.note(f"warning: {warning}")
        gates.check_teacher(seen, allow)
        found.append(seen)
    models.take_off()
    return found


def all_of(bench: Workbench, models: Models, plan: Plan) -> tuple[list[Look], list[str]]:
    """Return a look at every target of a plan, and why there is none of the others."""
    reasons = [why_not(models, target) for target in plan.targets]
    read = bench.reader("worktree")
    looks = [
        look(bench, models, target, read)
        for target, why in zip(plan.targets, reasons, strict=True)
        if why is None
    ]
    return looks, [why for why in reasons if why is not None]


def why_not(models: Models, target: PlannedTarget) -> str | None:
    """Return why a target is not looked at; None: it is."""
    request = target.rollout
    if request.teacher == target.student:
        return f"{target.base_name} bakes nothing in: both prompts are the same"
    if request.model == FAKE:
        return f"the answers for {target.base_name} are made up"
    if request.model is not None:
        return (
            f"{request.model.removeprefix(HOSTED)} answers for {target.base_name}, not the parent"
        )
    if not models.is_parent(request.parent):
        return f"{request.parent or 'the base'} answers for {target.base_name}, not the parent"
    return None


def look(bench: Workbench, models: Models, target: PlannedTarget, read: Read) -> Look:
    """Ask the parent three questions of a target, without its prompt and with it."""
    from bakery.backends import both_ways
    from bakery.backends.base import AnswerRequest
    from bakery.stages import look as stage

    parent, sampling = models.teacher(), target.rollout.sampling
    most = min(stage.MOST_TOKENS, sampling.max_tokens)
    settings = replace(sampling, num_traj_per_stimulus=1, max_tokens=most, temperature=0.0)
    asked = [
        AnswerRequest(str(number), messages, values)
        for number, (messages, values) in enumerate(questions(bench, target.stim, read))
    ]
    found = both_ways.ask(parent, asked, target.rollout.teacher, target.student, settings)
    answers = [
        stage.Answers(
            stage.user_text(request.messages),
            found.unprompted[at],
            found.prompted[at],
            found.on_base[at] if found.on_base is not None else None,
            found.unsure[at],
            found.base[at] if found.base is not None else None,
        )
        for at, request in enumerate(asked)
    ]
    return stage.Look(target.base_name, _short(parent.name), tuple(answers), found.moved)


def unasked(bench: Workbench, models: Models, plan: Plan) -> Iterator[str]:
    """Yield a warning for each prompt of a plan that says what none of the known questions asks.

    Of questions that are yet to be written by a model nothing is known.
    """
    from bakery.evals import asked, coverage
    from bakery.stages import look as stage

    for target in plan.targets:
        if why_not(models, target):
            continue
        known = _own(bench, target.stim, bench.reader("worktree"))[:KNOWN]
        sampling = target.rollout.sampling
        most = min(stage.MOST_TOKENS, sampling.max_tokens)
        settings = replace(sampling, num_traj_per_stimulus=1, max_tokens=most, temperature=0.0)
        prompts = target.rollout.teacher, target.student
        left = asked.unasked(models.teacher(), known, *prompts, settings) if known else []
        if left:
            named = ", ".join(f'"{text:.60}"' for text in left)
            yield (
                f"{target.base_name}: no answer to the {len(known)} questions known by now "
                f"would be another without {named}: {coverage.IDLE}"
            )


KNOWN = 24
"""Questions of a target that are answered to see what of its prompt they ask for."""


def _short(name: str) -> str:
    """Return a model's name as it fits into a line: a file's own, or a bake's with its step."""
    if name.count("/") == 3 and not name.startswith("/"):
        return "/".join(name.split("/")[-2:])
    return PurePath(name).name if PurePath(name).is_absolute() else name


Known = tuple[tuple[Message, ...], Values | None]
"""A question, and what its row fills the variables of the prompt with."""


def questions(bench: Workbench, request: StimRequest, read: Read) -> list[Known]:
    """Return three questions of a target: its own as far as they are there, then general ones.

    Those come behind the prompt of the first row, where there are rows.
    """
    from bakery.stages import look as stage

    general = [_asked(text, request.variables or None) for text in stage.GENERAL]
    return [*_own(bench, request, read), *general][: stage.ASKED]


def _own(bench: Workbench, request: StimRequest, read: Read) -> list[Known]:
    """Return the questions of a target that are known, a person's first."""
    rows = results.stimuli(bench.store.stim(request.id))
    rows.sort(key=lambda row: row.generator not in _OF_A_PERSON)
    if rows:
        return [(row.messages, row.values) for row in rows]
    return [_asked(text, values) for text, values in _written(request, read)]


def _asked(text: str, values: Values | None) -> Known:
    return ({"role": "user", "content": text},), values


def _written(request: StimRequest, read: Read) -> Iterator[tuple[str, Values | None]]:
    """Yield what is asked of a target without any model's help, before anything has run."""
    from bakery.generators import dataset, facts, hardcoded, persona
    from bakery.generators.base import Task

    ways: dict[str, Any] = {
        "hardcoded": hardcoded.write,
        "from_dataset": dataset.write,
        "persona": persona.write,
        "facts": facts.write,
    }
    for kind, write in ways.items():
        for generator in request.generators:
            if generator["type"] != kind or _is_far(generator, request):
                continue
            task = Task(
                generator, request.teacher, "look", set(), set(), 0, _nobody,
                read, _unsaid, files=request.files, variables=request.variables,
            )  # fmt: skip
            for round_ in write(task):
                yield from zip_longest(round_.questions, round_.values)


def _is_far(generator: Any, request: StimRequest) -> bool:
    """Tell whether questions have to come over a network."""
    if generator["type"] == "facts":
        return "model" in generator
    return "dataset" in generator and generator["dataset"] not in request.files


def _nobody(name: str | None) -> Any:
    raise AssertionError("no model writes what a person wrote")


def _unsaid(text: str) -> None:
    """Say nothing: the stage says it when it writes the questions."""
