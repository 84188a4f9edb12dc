"""The folder that a bake leaves its results in: one run at a time, and no mixture of two.

A run from the start moves what an earlier one left into `earlier-<n>/`. A resumed run has to be
the one that stopped: its settings are compared with those that were kept.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bakery.distil.settings import settled
from bakery.distil.settings.parse import WRITTEN, Settings
from bakery.engine.training import checkpoints, start
from bakery.engine.training.numerics import FILE as NUMERICS
from bakery.errors import ConfigError
from bakery.paths import expanded
from bakery.records import write_atomic
from bakery.reporting import Reporter
from bakery.store.output_dir import CONFIG, FINAL, QUESTIONS, RESULTS
from bakery.store.results import ASKED, EVALS, METRICS, PROBES, TRAJECTORIES

MERGED = "merged"
_GOES_ON = (METRICS, NUMERICS, start.FILE, TRAJECTORIES, f"eval_{TRAJECTORIES}")
"""What a run that goes on in another folder takes along."""
OWN = (CONFIG, RESULTS, FINAL, MERGED, ASKED, PROBES, QUESTIONS, EVALS, *_GOES_ON)

_FREE = re.compile(  # settings that may differ when a run goes on: they shape no weights
    r"output_dir|resume_from_checkpoint|merge|teacher_record_gb|heldout_file|report_to|run_name|disable_tqdm"
    r"|(log|logging|save|eval|hub|push_to_hub)_.*|dataloader_(?!drop_last).*"
)


def check(settings: Settings) -> None:
    """Refuse a folder that cannot be used, before anything expensive is done."""
    out = settings.training.out
    if not str(settings.training.output_dir).strip():
        raise ConfigError("output_dir is empty", hint="Name a folder for the results.")
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(
            f"output_dir {out} cannot be made: {there} is not a writable folder",
            hint="Choose another folder.",
        )
    _check_inputs(settings, out)


def checkpoint(settings: Settings, *, data: str) -> tuple[str | None, list[str]]:
    """Return the checkpoint to go on from, and why newer ones are left out: those not whole.

    One of a run with other settings, or other data (by their digest), is refused. What defaults
    would settle stays as it was then.
    """
    asked = settings.training.resume_from_checkpoint
    damaged: list[str] = []
    if not asked:
        return None, damaged
    if asked is True:
        folder = settings.training.out
        chosen = checkpoints.newest(folder, damaged.append)
        if chosen is None:
            raise ConfigError(
                "\n".join([f"there is no checkpoint in {folder} to go on from", *damaged]),
                hint="save_strategy (steps, epoch) says when checkpoints are written; without "
                "resume_from_checkpoint training begins anew.",
            )
    else:
        chosen = Path(str(asked))
        if (why := checkpoints.damage(chosen)) is not None:
            raise ConfigError(
                f"{chosen} is no whole checkpoint: {why}",
                hint="resume_from_checkpoint: true takes the last whole one in output_dir.",
            )
    _check_same_bake(chosen, settings, data)
    return str(chosen), damaged


def begin(settings: Settings, *, data: str, resume: str | None, reporter: Reporter) -> None:
    """Make room, and keep the configuration and the digest of the data."""
    out = settings.training.out
    source = Path(resume).parent if resume is not None else None
    if source is None or source.resolve() != out.resolve():
        _move_aside(out, reporter)
    if source is not None:
        reporter.note(f"training goes on from {Path(str(resume)).name}")
        for name, what in checkpoints.missing(Path(str(resume))).items():
            reporter.note(f"the checkpoint has no {name}: {what} begins anew")
        for name in _GOES_ON:
            if not (out / name).exists() and (source / name).is_file():
                shutil.copyfile(source / name, out / name)
    keep(settings, data=data)


def keep(settings: Settings, *, data: str) -> None:
    """Write the configuration as it stands, below the digest of the data."""
    text = yaml.safe_dump(_kept(settings), sort_keys=False, allow_unicode=True)
    write_atomic(settings.training.out / CONFIG, f"{WRITTEN}{data}\n{text}")


def _kept(settings: Settings) -> dict[str, Any]:
    snapshot = settings.snapshot()
    snapshot.pop("resume_from_checkpoint", None)
    return snapshot


def _move_aside(out: Path, reporter: Reporter) -> None:
    found = [path for path in out.iterdir() if path.name in OWN or checkpoints.is_named(path)]
    if not found:
        return
    number = 1
    while (aside := out / f"earlier-{number}").exists():
        number += 1
    aside.mkdir()
    for path in found:
        path.rename(aside / path.name)
    reporter.note(f"{out} held an earlier run, which is now in {aside.name}/; this one begins anew")


def _check_inputs(settings: Settings, out: Path) -> None:
    """Refuse to write over what is read."""
    given = {
        "--config": settings.source,
        "dataset": settings.data.dataset,
        "eval_dataset": settings.data.eval_dataset,
        "eval_file": settings.data.eval_file,
        "heldout_file": settings.data.heldout_file,
        "corpus_file": settings.data.corpus_file,
        "prefix_messages_file": settings.context.prefix_messages_file,
        "trajectories_file": settings.training.trajectories_file,
    }
    own = {(out / name).resolve() for name in OWN}
    for name, path in given.items():
        if path is not None and expanded(path).resolve() in own:
            raise ConfigError(
                f"{name} {path} lies where this run writes its own file of that name",
                hint="Choose another output_dir.",
            )


def _check_same_bake(chosen: Path, settings: Settings, data: str) -> None:
    path = chosen.parent / CONFIG
    if not path.is_file():
        return  # written by the library, which keeps no configuration
    text = path.read_text(encoding="utf-8")
    learnt = text.partition("\n")[0].removeprefix(WRITTEN)
    if text.startswith(WRITTEN) and learnt != data:
        raise ConfigError(
            f"{chosen} was trained on other data: what dataset names has changed since",
            hint="Restore it, or leave resume_from_checkpoint out to begin anew (what is there is "
            "moved aside, not lost).",
        )
    found = yaml.safe_load(text)
    kept = settled.as_of_then(found if isinstance(found, Mapping) else {})
    settled.take_over(settings.training, settings.lora, kept)
    other = _differences(kept, _kept(settings))
    if other:
        raise ConfigError(
            f"{chosen} belongs to another bake: {', '.join(other)} differ{'s' * (len(other) == 1)} "
            f"from {path}",
            hint="Restore these settings, or leave resume_from_checkpoint out to begin anew "
            "(what is there is moved aside, not lost).",
        )


def _differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    names = sorted(set(kept) | set(now))
    return [n for n in names if not _FREE.fullmatch(n) and kept.get(n) != now.get(n)]
