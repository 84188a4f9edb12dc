"""What a run of the `bakery` command learns from: all files read, and refused without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bakery.data.datasets import eval_rows, load_eval_data, training_rows
from bakery.data.rows import Row
from bakery.distil import folder, loading
from bakery.distil.keywords import QuestionAnswer
from bakery.distil.settings import narrowed
from bakery.distil.settings.parse import Settings
from bakery.engine.training import on_policy
from bakery.engine.training.rounds import answers_in
from bakery.errors import ConfigError, StageError
from bakery.identity import canonical, digest


@dataclass(frozen=True, slots=True)
class Material:
    """What a run learns from and is measured on, read and checked, before any model."""

    rows: list[Row]
    eval_rows: list[Row] | None
    shared: int
    """How many of them are training rows too."""
    questions: Mapping[str, Sequence[QuestionAnswer]]
    """Of eval_file under `eval`, of heldout_file under `heldout`."""
    digest: str
    """Of the rows."""
    resume: str | None
    """The checkpoint to go on from."""
    notes: tuple[str, ...] = ()
    """What of the files is not read, or is read in a way that may surprise."""


def gather(settings: Settings) -> Material:
    """Read all data, and refuse what can be refused without a model."""
    folder.check(settings)
    loading.check_optional(settings.data, settings.training)
    notes: list[str] = []
    rows = training_rows(settings.data, notes.append)
    _check_context(settings, rows)
    if settings.training.trajectories_file:
        answers_in(Path(settings.training.trajectories_file))  # refuses what holds others
    if settings.training.on_policy:
        on_policy.check(sum(row.needs_sampling for row in rows))
    held_out = eval_rows(settings.data, notes.append)
    if held_out is None and settings.training.eval_strategy != "no":
        raise ConfigError(
            "eval_strategy asks for evaluation, but there is nothing to evaluate on",
            hint="Give eval_dataset: FILE, or take eval_strategy out.",
        )
    files = {"eval": settings.data.eval_file, "heldout": settings.data.heldout_file}
    questions = {
        name: [
            QuestionAnswer(q["question"], tuple(q["answer"]))
            for q in load_eval_data(path, notes.append)
        ]
        for name, path in files.items()
        if path is not None
    }
    seen = {_asked(row, settings) for row in rows} if held_out else set()
    shared = [row for row in held_out or () if _asked(row, settings) in seen]
    data = _digest(rows)
    resume, left_out = folder.checkpoint(settings, data=data)
    told = tuple(dict.fromkeys((*notes, *left_out)))
    return Material(rows, held_out, len(shared), questions, data, resume, told)


def _digest(rows: Sequence[Row]) -> str:
    """Return what names these rows; StageError where a call holds what JSON has no word for."""
    try:
        return digest([row.as_data() for row in rows])[:16]
    except ValueError as error:
        raise StageError(
            f"a row holds a number that is none (NaN or infinite): {error}",
            hint="Look at the arguments of its calls, and at its tools.",
        ) from error


def _asked(row: Row, settings: Settings) -> str:
    """Return what a row asks for, whatever form it has: context, turns before the answer, tools."""
    turns = row.turns[:-1] if row.turns[-1]["role"] == "assistant" else row.turns
    prefix = narrowed.views(settings.context).prompt(row).messages
    return canonical([list(prefix), list(turns), list(row.tools or ())])


def _check_context(settings: Settings, rows: Sequence[Row]) -> None:
    prefix, kept = settings.context.prefix, settings.context.student_retained_turns
    own = any(row.prefix for row in rows)
    if not prefix and not own and not kept and not any(row.system for row in rows):
        raise ConfigError(
            "there is no context to bake: prefix_messages is not given, and no row has its own",
            hint="Give prefix_messages (or prefix_messages_file, corpus_file), or "
            "student_retained_turns above 0 to bake a conversation's own earlier messages.",
        )
    if prefix and not own and kept >= len(prefix):
        raise ConfigError(
            f"student_retained_turns {kept} leaves nothing to bake: the prefix has "
            f"{len(prefix)} message{'s' if len(prefix) > 1 else ''}, and the student sees as many",
            hint=f"Choose a number below {len(prefix)}.",
        )
