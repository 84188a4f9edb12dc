"""Jobs as their processes leave them, without any process or training."""

from __future__ import annotations

import json
from typing import Any

from bakery.engine.models import adapter_folder
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.store import job
from bakery.store.job import Job
from bakery.store.processes import ProcessId
from tests.support.recorded import STEP, stored


def launched(repo: ModelRepo, plan: Plan, **changes: Any) -> Job:
    """Write the job of a run that this process began here and now."""
    made: dict[str, Any] = {
        "id": job.new_id(repo.store),
        "repository": str(repo.git.common_dir),
        "worktree": str(repo.root),
        "branch": repo.git.branch(),
        "commit": repo.git.head(),
        "input_blob": repo.launch_blob(),
        "stages": ("stim", "rollout", "bake"),
        "names": (plan.bake_name,),
        "state": "running",
        "process": ProcessId.own(),
        "created": job.now(),
        "began": job.now(),
    }
    return Job(**{**made, **changes}).write(repo.store)


def complete(repo: ModelRepo, plan: Plan, **changes: Any) -> Job:
    """Put a finished bake with its weights into the store, and write the job that made it."""
    result = dict(stored(repo, plan))
    folder = repo.store.bake(result["bake_id"])
    (folder / str(STEP)).mkdir()
    (folder / str(STEP) / adapter_folder.WEIGHTS).write_bytes(b"weights")
    result["digest"] = adapter_folder.digest(folder / str(STEP))
    (folder / "bake.json").write_text(json.dumps(result), encoding="utf-8")
    model = str(plan.model_ref(STEP))
    return launched(repo, plan, state="complete", ended=job.now(), model=model, **changes)


def now(repo: ModelRepo, of: Job) -> Job:
    """Return a job as its file says by now."""
    return job.read(job.record_path(repo.store, of.id))
