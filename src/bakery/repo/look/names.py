"""What there is to be named, as it is typed: models, targets, jobs, branches.

Read without a plan, so that completing a word takes no longer than typing it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bakery.errors import BakeryError
from bakery.records import given_name
from bakery.repo import reading
from bakery.repo.files.names import INPUT
from bakery.repo.model_repo import ModelRepo
from bakery.store import job
from bakery.yaml import text as yaml_text

ALWAYS = ("base", "parent")
"""Models that every repository has by these names."""


def models(repo: ModelRepo) -> dict[str, str]:
    """Return what each model is called, with what that is; the short names first."""
    bakes = list(repo.lineage().bakes.values())
    often = Counter(bake.base_name for bake in bakes)
    short = {bake.base_name: str(bake.model) for bake in bakes if often[bake.base_name] == 1}
    now = repo.state()
    fixed = {"parent": f"the current model, {now.parent or now.base.name}", "base": now.base.name}
    return {**short, **fixed, **{bake.name: str(bake.model) for bake in bakes}}


def targets(repo: ModelRepo) -> dict[str, str]:
    """Return the names of targets, with whose they are: configured now, or of earlier bakes."""
    found = dict.fromkeys(_configured(repo), "in input.yml")
    earlier = [
        (str(target["name"]), bake.name)
        for bake in repo.lineage().bakes.values()
        for target in bake.part("targets") or ()
    ]
    for full, bake in earlier:
        found.setdefault(given_name(full), f"of {bake}")
    return {**found, **{full: f"of {bake}" for full, bake in earlier}}


def jobs(repo: ModelRepo) -> dict[str, str]:
    """Return the ids of jobs, with how each is, the latest first."""
    known = job.listed(repo.store, repository=repo.git.common_dir, note=lambda _: None)
    return {one.id: f"{one.state} on {one.branch}" for one in reversed(known)}


def branches(repo: ModelRepo) -> dict[str, str]:
    """Return branches and tags, with what each is."""
    kinds = {"heads": "branch", "remotes": "remote branch", "tags": "tag"}
    listed = repo.git.ask("for-each-ref", "--format=%(refname)", *(f"refs/{k}" for k in kinds))
    parts = (ref.split("/", 2)[1:] for ref in (listed or "").splitlines())
    return {name: kinds[kind] for kind, name in parts if not name.endswith("/HEAD")}


def _configured(repo: ModelRepo) -> Iterable[str]:
    """Yield the names of input.yml's targets as it lies in the folder, right or not."""
    try:
        document = yaml_text.parse(reading.folder_text(repo.root, INPUT), INPUT)
    except (BakeryError, OSError):
        return
    written: Any = document.get("TARGET") if isinstance(document, Mapping) else None
    for target in [written] if isinstance(written, Mapping) else written or ():
        if isinstance(target, Mapping) and isinstance(target.get("name"), str):
            yield target["name"]
