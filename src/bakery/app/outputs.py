"""What the `bakery` command left beside an adapter: what was baked in, and how it was loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery import json_file
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId
from bakery.paths import expanded
from bakery.records import Message, read_rows
from bakery.reporting import Reporter
from bakery.store.output_dir import CONFIG, FINAL, QUESTIONS, RESULTS, RecordedQuestion

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel


@dataclass(frozen=True, slots=True)
class Outputs:
    """The results.json of an output_dir, as far as a bake is measured by it."""

    folder: Path
    targets: Sequence[Mapping[str, Any]]
    """Each prompt that was baked in: name, teacher and student. Empty: rows had no prompt."""
    dtype: str
    template_kwargs: Mapping[str, Any]
    seconds: float
    teacher: Mapping[str, Any] | None = None
    """The base of another model that taught it, and the bake on it."""

    def questions(self, target: str) -> tuple[list[tuple[Message, ...]], bool]:
        """Return what may be asked behind a prompt, and whether that was held out."""
        path = self.folder / QUESTIONS
        rows = read_rows(path, RecordedQuestion) if path.is_file() else []
        own = [row for row in rows if row.target == target]
        held = [row.messages for row in own if row.is_held_out]
        return held or [row.messages for row in own], bool(held)


def beside(adapter: Path) -> Outputs | None:
    """Return what lies beside an adapter; None: the `bakery` command left none of it.

    Raises ModelError where the file is damaged.
    """
    path = adapter.parent / RESULTS
    if adapter.name != FINAL or not path.is_file():
        return None
    try:
        said = json_file.load_object(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged: {error}") from error
    baked = said.get("baked")
    if not isinstance(baked, dict):
        return None
    try:
        return Outputs(
            adapter.parent,
            tuple(map(_target, baked["targets"])),
            str(baked["dtype"]),
            dict(baked["template_kwargs"]),
            float(said.get("seconds") or 0.0),
            _teacher(said.get("teacher")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged: `baked` lacks {error}") from error


def _teacher(said: Any) -> Mapping[str, Any] | None:
    """Return what is said of a teacher; ValueError where that is none."""
    if said is not None and not isinstance(said["base"]["name"], str):
        raise ValueError("the name of a teacher")
    return said if isinstance(said, dict) else None


def _target(entry: Any) -> Mapping[str, Any]:
    """Return a prompt that was baked in; ValueError where it is none."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError("the name of a target")
    for side in ("teacher", "student"):
        prompt = entry.get(side)
        messages = prompt.get("messages") if isinstance(prompt, dict) else None
        if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
            raise ValueError(f"the {side} of {entry['name']}")
    return entry


def load(base: BaseModelId, adapter: Path | None, *, reporter: Reporter) -> BaseModel:
    """Load a base as the adapter that is put on it was made, else as its defaults say."""
    from bakery.engine.models import models

    found = beside(adapter) if adapter is not None else None
    dtype = found.dtype if found else defaults_for(base).dtype
    made = models.load(base, dtype=dtype, reporter=reporter)
    made.chat.template_kwargs.update(found.template_kwargs if found else {})
    return made


def adapter_of(folder: str) -> Path:
    """Return the adapter of an output_dir, where it can be measured; ConfigError where not."""
    out = expanded(folder)
    out = out.parent if out.name == FINAL else out
    if not (out / FINAL).is_dir() or not (out / RESULTS).is_file():
        raise ConfigError(
            f"{folder} holds no finished bake of the `bakery` command",
            hint=f"Name an output_dir: {FINAL}/, {RESULTS} and {CONFIG} lie there once it is done.",
        )
    found = beside(out / FINAL)
    if found is None:
        raise ConfigError(
            f"{out / RESULTS} does not say which prompts were baked in: an earlier version left it",
            hint=f"Bake it again: `bakery --config {out / CONFIG} --output_dir ELSEWHERE`.",
        )
    if not found.targets:
        raise ConfigError(
            f"{out} was not baked from a prompt: each row had earlier turns of its own",
            hint="There is nothing to measure it against; heldout_file asks it questions.",
        )
    return out / FINAL
