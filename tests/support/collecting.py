"""A repository whose store `bgit gc` tidies, and what is in it before and after."""

from __future__ import annotations

import os
from pathlib import Path

from bakery.app import gc
from bakery.app.gc import Collected
from bakery.identity import StimRequest
from bakery.records import Prompt
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import configuration, git
from tools import made_store
from tools.made_store import Baked
from tools.planted import NOBODY

BRANCHES = {
    "main": ["one", "two"],
    "exp": ["one", "three"],
    "tagged": ["one", "four"],
    "deleted": ["one", "five"],
    "stashed": ["one", "six"],
}


def collected(repo: ModelRepo, prune: str = "now", **more: object) -> Collected:
    return gc.gc(repo, prune=prune, reporter=Quiet(), **more)  # type: ignore[arg-type]


def here(repo: ModelRepo) -> set[str]:
    """Return the ids of what the store has."""
    root = repo.store.root
    return {path.name for kind in ("stim", "target", "bake") for path in (root / kind).iterdir()}


def ids(*bakes: Baked) -> set[str]:
    return {name for bake in bakes for name in (bake.model.bake_id, bake.stim, bake.target)}


def forgotten(repo: ModelRepo, *branches: str) -> None:
    """Delete branches, and what reflogs know of them."""
    git(repo.root, "branch", "-qD", *branches)
    git(repo.root, "reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")


def begun(repo: ModelRepo, name: str, of: ModelRepo | None = None) -> str:
    """Write the questions of a configuration, as its first stage does; return their id."""
    plan = (of or repo).plan_of(configuration(name), "input.yml")
    (target,) = plan.targets
    made_store.questions_into(repo.store.stim(target.stim.id), target.stim, ["Who are you?"])
    return target.stim.id


def configured(root: Path, name: str) -> None:
    (root / "input.yml").write_text(configuration(name), encoding="utf-8")


def unneeded(repo: ModelRepo, question: str = "Who?", **generator: object) -> str:
    """Write questions that nothing asks for; return their id."""
    generators = ({"type": "hardcoded", "questions": [question], **generator},)
    request = StimRequest(Prompt(), generators, {})
    made_store.questions_into(repo.store.stim(request.id), request, [question])
    return request.id


def contents(repo: ModelRepo, kept: set[str]) -> dict[str, bytes]:
    root = repo.store.root
    return {
        str(path): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and kept & set(path.parts)
    }


def leftovers(store: Path) -> list[Path]:
    """Leave what killed processes leave."""
    bake = next((store / "bake").iterdir())
    made = [
        store / f"import-{NOBODY}",
        store / "reproducing" / ("ab" * 8),
        store / "bake" / f"{bake.name}.again",
        bake / "checkpoints",
        store / "replaced" / "stim-1",
        store / "reproduced" / ("ab" * 8),
    ]
    for folder in made:
        folder.mkdir(parents=True)
        (folder / "file").write_text("x", encoding="utf-8")
    draft = bake / ".bake.json.0a1b2c3d.tmp"
    draft.write_text("{", encoding="utf-8")
    os.utime(draft, (1e9, 1e9))
    (store / ".recipes.json.4d5e6f70.tmp").write_text("{", encoding="utf-8")  # being written
    return [*made, draft]
