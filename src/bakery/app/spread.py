"""A bake in several processes: handed to them by the one that was asked, and trained by each."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.defaults import defaults_for
from bakery.errors import BakeryError, ConfigError, ModelError
from bakery.identity import BakeRequest
from bakery.reporting import Quiet, Reporter
from bakery.torchrun import launch
from bakery.torchrun.asked import Processes
from bakery.torchrun.said import Told

if TYPE_CHECKING:
    from bakery.engine.models.models import BaseModel
    from bakery.engine.workers import Worker
    from bakery.stages.bake import Other
    from bakery.stages.parts import TargetData

PROGRAM = ("-P", "-m", "bakery.cli.rank")
WORK, RESULT, MEETING = "work.pickle", "result.pickle", "meeting"
"""Of this user's own processes, in a folder that nobody else can write to."""

MOST_PER_CORE = 4
"""Processes without a GPU: a thousand would bring a machine to a halt."""

PACKAGES = ("bakery", "torch", "transformers", "peft")
"""What has to be the same on every machine."""


@dataclass(frozen=True)
class Handed:
    """What every process is given: the bake, and where on this machine everything lies."""

    request: BakeRequest
    data: Sequence[TargetData]
    out: Path
    parent: Path | None
    attention: str | None
    allowed: Sequence[str]
    asked: Processes


def check_stages(asked: Processes, stages: Sequence[str]) -> None:
    """Refuse processes for stages that they have no part in."""
    is_asked = asked.here is not None or asked.machines > 1 or asked.sharded
    if is_asked and "bake" not in stages:
        raise ConfigError(
            "--nproc, --nnodes and --shard are about how a bake is trained, and none is asked for",
            hint="`bgit run bake --nproc 2`. Questions and answers are shared out by --on.",
        )


def check(asked: Processes, request: BakeRequest | None) -> None:
    """Refuse what somebody asked for and cannot have, before anything is spent."""
    if request is not None and (asked.here is not None or asked.sharded):
        settled(asked, request)


def in_reach(count: int | None) -> Processes:
    """Return so many processes on this machine, None: one on each GPU; refuse more than those."""
    import torch

    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus and count is not None and count > gpus:
        raise ConfigError(
            f"--nproc {count}: this machine shows {gpus} GPU{'s' if gpus > 1 else ''}, and "
            "each process needs one of its own",
            hint="CUDA_VISIBLE_DEVICES says which are shown.",
        )
    cores = os.cpu_count() or 1
    if not gpus and count is not None and count > MOST_PER_CORE * cores:
        raise ConfigError(
            f"--nproc {count}: this machine has {cores} core{'s' if cores > 1 else ''} and no GPU, "
            f"and takes {MOST_PER_CORE * cores} processes at most",
            hint="Each process loads the whole base. More than one for each core are no faster.",
        )
    return Processes(here=count or max(1, gpus), number=0)


def settled(asked: Processes, request: BakeRequest) -> Processes:
    """Return how many processes train here: as many as are asked for, else one on each GPU."""
    found = replace(asked, here=in_reach(asked.here).here)
    if found.sharded:
        _check_sharded(found, request)
    elif request.running.sharded and is_several(found):
        found = replace(found, sharded=True)
        _check_sharded(found, request)
    return found


def _check_sharded(asked: Processes, request: BakeRequest) -> None:
    """Refuse what a base that is shared out cannot do: all processes have to run it in step."""
    total, training = (asked.here or 1) * asked.machines, request.training
    why, instead = None, ""
    if total == 1:
        why = "one process has nobody to share the base with"
        instead = "`--nproc N` trains in several; otherwise, leave "
    elif training.on_policy is not None:
        why = "each process answers its own questions in BAKE.on_policy, and no two take as long"
    elif request.teacher is not None:
        why = "a student of another size is trained beside its whole teacher"
    if why is not None:
        raise ConfigError(
            f"the base cannot be shared out: {why}",
            hint=f"{instead or 'Leave '}--shard, or BAKE.deepspeed's stage 3, out.",
        )


def is_several(asked: Processes) -> bool:
    """Tell whether a bake leaves this process."""
    return asked.machines > 1 or (asked.here or 1) > 1


def train(handed: Handed, reporter: Reporter) -> dict[str, Any]:
    """Bake in several processes; return what bake.json says, nothing where this machine helped."""
    with tempfile.TemporaryDirectory(prefix="bakery-processes-") as place:
        folder = Path(place)
        (folder / WORK).write_bytes(pickle.dumps(handed))
        # On a machine that helps, the teacher's record lies in a folder for this run alone.
        beside = [] if handed.asked.is_first else [handed.out]
        launch.launch(handed.asked, PROGRAM, folder, reporter, beside=beside)
        found = folder / RESULT
        return pickle.loads(found.read_bytes()) if found.is_file() else {}


def take_part(folder: Path) -> int:
    """Train as one of the processes that share a folder; return the exit code."""
    from bakery.engine import processes

    handed: Handed = pickle.loads((folder / WORK).read_bytes())
    with processes.joined(folder / MEETING, in_step=handed.asked.sharded) as worker:
        along: AbstractContextManager[None] = nullcontext()
        if worker.rank and worker.local_rank == 0:  # the first of a machine that helps
            along = Told(folder / launch.SAID).doing("training along")
        try:
            with along:
                _train(handed, folder, worker)
        except BakeryError as error:
            launch.write_error(folder, worker.rank, error)
            return error.exit_code
    return 0


def _train(handed: Handed, folder: Path, worker: Worker) -> None:
    from bakery.engine import sharded
    from bakery.stages import bake
    from bakery.stages.training import CHECKPOINTS

    reporter: Reporter = Told(folder / launch.SAID) if worker.rank == 0 else Quiet()
    _check_same(handed, worker)
    for said in worker.gather([sharded.device_said(worker)]):
        reporter.note(said)
    out = handed.out
    if worker.rank:
        out = handed.out / CHECKPOINTS / "ranks" / str(worker.rank)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
    base, other = _opened(handed, worker, reporter)
    model: Any = base.model
    if handed.parent is not None and other is None:
        from bakery.engine.models.adapters import attach_parent

        model = attach_parent(base.model, handed.parent)
    result = bake.run(
        handed.request,
        handed.data,
        out,
        base=base,
        model=model,
        parent=handed.parent if other is None else None,
        teacher=other,
        reporter=reporter,
        allowed=handed.allowed,
        worker=worker,
        records=handed.out,
    )
    if worker.rank == 0:
        (folder / RESULT).write_bytes(pickle.dumps(result))


def _check_same(handed: Handed, worker: Worker) -> None:
    """Refuse machines that would train different things."""
    from bakery.engine.models import adapter_folder, versions

    made_with = versions.versions()
    own = {
        "another bake": handed.request.id,
        "another parent": adapter_folder.digest(handed.parent) if handed.parent else "",
        "other versions": " ".join(f"{name} {made_with[name]}" for name in PACKAGES),
    }
    for rank, other in enumerate(worker.gather([own])):
        for what, value in own.items():
            if other[what] != value:
                raise ModelError(
                    f"process {rank} has {what} than process {worker.rank}: {other[what][:80]}, "
                    f"not {value[:80]}",
                    hint="Every machine needs the same commit, weights and packages: `git log -1`, "
                    "`bgit status` and `bgit version` show them.",
                )


def _opened(handed: Handed, worker: Worker, reporter: Reporter) -> tuple[BaseModel, Other | None]:
    """Load the base, and the model that teaches it where that is another."""
    from bakery.engine import sharded
    from bakery.engine.models import models
    from bakery.engine.models.adapters import attach_parent
    from bakery.stages.bake import Other

    request = handed.request
    shared = handed.asked.sharded
    reporter.note(f"loading {request.base.name}")
    with reporter.doing("loading"):
        base = models.load(
            request.base,
            dtype=request.training.dtype,
            attention=handed.attention,
            placed=sharded.share_out if shared else None,
            reporter=reporter,
        )
        for said in worker.gather([sharded.held_said(base.model, worker)] if shared else []):
            reporter.note(said)
        if request.teacher is None:
            return base, None
        dtype = defaults_for(request.teacher.base).dtype
        teacher = models.load(request.teacher.base, dtype=dtype, reporter=reporter)
    speaks: Any = attach_parent(teacher.model, handed.parent) if handed.parent else teacher.model
    return base, Other(teacher, speaks, handed.parent)
