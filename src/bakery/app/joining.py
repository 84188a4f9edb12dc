"""Bakes that are put together from slices of others: which slices, and the result in the store.

`merge`, `cherry-pick` and `revert --only` differ in what they take and in what they put it on. What
comes out is a bake like any other: its parent's ranks as they are, and behind them its own.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bakery.app import compressing, distilled, stored
from bakery.app.distilled import Learnt
from bakery.app.links import Link
from bakery.app.panel import Panel, write_probes
from bakery.app.workbench import InRepository
from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId, JoinRequest
from bakery.kept import Kept, Row
from bakery.records import ModelRef
from bakery.repo.commits import checks
from bakery.repo.commits.checks import Stand
from bakery.repo.files import ranks
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Lineage
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan import chains
from bakery.reporting import Reporter
from bakery.store import drafts, results

STEP = 1
"""Of a model that no training made."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be put together. `parent` None: it is put on the base model."""

    name: str
    """As a person would call it, without the id."""
    how: str
    sides: tuple[tuple[Link, ...], ...]
    """Whose slices are taken, side by side, oldest first."""
    parent: ModelRef | None
    rank: int | None = None
    wins: str | None = None
    by: str = "merge"
    """The verb that asked for it."""
    instead_of: ModelRef | None = None
    """The model whose place it takes, where that is not the parent."""
    learnt: Learnt | None = None
    """None: nothing is trained."""

    @property
    def own(self) -> int:
        """How many ranks it puts on its parent."""
        return self.rank or sum(link.bake.rank for side in self.sides for link in side)


@dataclass(frozen=True, slots=True)
class Joined:
    """A bake that was put together, in the store; recorded nowhere yet."""

    model: ModelRef
    result: Mapping[str, Any]
    kept: tuple[Kept, ...]
    """What is left of each target that was looked at."""
    is_new: bool
    """Whether it was made now."""

    @property
    def lost(self) -> tuple[Kept, ...]:
        """The targets of which more is gone than may be."""
        return tuple(one for one in self.kept if one.is_lost)


def request_of(base: BaseModelId, wanted: Wanted, compressed: int | None) -> JoinRequest:
    """Return what decides the weights; of the parent so many ranks are kept, None: all."""
    sides = tuple(tuple(link.key for link in side) for side in wanted.sides)
    learnt = wanted.learnt
    return JoinRequest(
        wanted.how,
        sides,
        base,
        wanted.parent,
        wanted.rank,
        wanted.wins,
        learnt.training if learnt else None,
        learnt.shares if learnt else (),
        learnt.left_out if learnt else (),
        compressed,
    )


def kept_of_parent(lineage: Lineage, parent: ModelRef | None, own: int) -> int | None:
    """Return how many ranks of a parent there is room for beside its `own`; None: for all.

    ConfigError where there is none for any.
    """
    if own >= chains.MOST:
        raise ConfigError(
            f"what is put on {parent or 'the base'} has {own} ranks, and a chain has "
            f"{chains.MOST} at most",
            hint=f"`bgit merge --weights=svd --rank {chains.MOST // 2}` keeps fewer.",
        )
    return chains.kept(ranks.total(lineage.chain(parent) or ()), own, None)


def _before(
    repo: ModelRepo,
    folder: Path,
    parent: ModelRef | None,
    compressed: int | None,
    load: compressing.Load,
    reporter: Reporter,
) -> Path | None:
    """Return what is put on: the parent, or, made in `folder`, what is left of it."""
    if parent is None:
        return None
    whole, bench = stored.weights(repo, parent), InRepository(repo)
    if compressed is None:
        return whole
    return compressing.parent(
        folder, repo.state().base, parent, whole, bench.chain(parent),
        rank=compressed, load=load, reporter=reporter,
    )  # fmt: skip


def make(repo: ModelRepo, wanted: Wanted, panel: Panel, *, reporter: Reporter) -> Joined:
    """Put a bake together in the store, or take what lies there, and look at what is left."""
    now = repo.state()
    request = request_of(
        now.base, wanted, kept_of_parent(repo.lineage(), wanted.parent, wanted.own)
    )
    place = repo.store.bake(request.id)
    with repo.store.lock(place, "bgit", wait_s=-1, announce=reporter.note):
        is_new = not results.is_done(place)
        if is_new:
            place.mkdir(parents=True, exist_ok=True)
            results.begin(place, request)
            _fill(place, repo, request, wanted, panel, reporter)
        result = results.checked_result(place)
        results.freshen(place)
    instead = {"instead_of": str(wanted.instead_of)} if wanted.instead_of else {}
    result["joined"] = {**result["joined"], **instead, "by": wanted.by}
    model = ModelRef(now.owner, now.name, f"{wanted.name}_{request.id}", result["step"])
    return Joined(model, result, _kept(result), is_new)


def record(
    repo: ModelRepo, began: Stand, model: ModelRef, result: Mapping[str, Any], reporter: Reporter
) -> str:
    """Commit what was made for a branch as its current model; return the commit."""
    checks.unchanged(repo.git, began)
    known = next((bake for bake in repo.bakes() if bake.id == model.bake_id), None)
    if known is not None:  # of another time, and left since
        return repo.adopt(known, reporter=reporter).commit
    return repo.record_model(model, result, "", began.branch, reporter)


def again(repo: ModelRepo, bake: RecordedBake, out: Path, reporter: Reporter) -> str:
    """Put a recorded bake together anew in a new folder; return the digest of its weights.

    ModelError where it was learnt: that is another matter.
    """
    from bakery.engine.models import adapter_folder

    lineage = repo.lineage()
    told = bake.part("joined")
    sides = [
        tuple(_link(lineage, bake, ModelRef.parse(name)) for name in side) for side in told["sides"]
    ]
    wanted = Wanted(
        bake.base_name, told["how"], tuple(sides), bake.parent, told.get("rank"), told.get("wins")
    )
    load = compressing.fresh(repo.state().base, reporter)
    before = _before(repo, out.parent, bake.parent, bake.kept_of_parent, load, reporter)
    write(out, repo, bake.id, own_weights(repo, wanted, reporter), before)
    return adapter_folder.digest(out)


def _link(lineage: Lineage, bake: RecordedBake, model: ModelRef) -> Link:
    found = lineage.bakes.get(model.bake_id)
    if found is None:
        raise RepoError(
            f"{bake.name} was put together from {model}, which no branch here has",
            hint="`git fetch --all --tags` may bring the branch that has it; where it was taken "
            "back, so does `git branch NAME COMMIT` of a commit from before that.",
        )
    return Link(found, model)


def _fill(
    folder: Path,
    repo: ModelRepo,
    request: JoinRequest,
    wanted: Wanted,
    panel: Panel,
    reporter: Reporter,
) -> None:
    """Make all that lies in the folder of a bake that was put together."""
    from bakery.engine.models.compressed import PARENT, told
    from bakery.engine.models.versions import versions

    started, clock = _now(), time.monotonic()
    load = panel.base_model  # it is in memory already
    before = _before(repo, folder, request.parent, request.compressed, load, reporter)
    less = told(before)
    if wanted.learnt is None:
        made = _added(folder, repo, request.id, wanted, before, reporter)
    else:
        made = distilled.distil(
            folder, repo.store, request.id, wanted.learnt, own_weights(repo, wanted, reporter),
            panel, onto=before, reporter=reporter,
        )  # fmt: skip
    parent = repo.find_model(str(wanted.parent)) if wanted.parent else None
    kept, probes = panel.kept(folder / str(made["step"]))
    write_probes(folder, {"bake_id": request.id, "base_digest": request.base.digest}, probes)
    joined = {
        "how": wanted.how,
        "sides": [[str(link.model) for link in side] for side in wanted.sides],
        **({"rank": wanted.rank} if wanted.rank else {}),
        **({"wins": wanted.wins} if wanted.wins else {}),
        "kept": [_figures(one) for one in kept],
    }
    results.end_bake(
        folder,
        {
            "schema": 1,
            "bake_id": request.id,
            "base": asdict(request.base),
            "parent": {"model": str(wanted.parent), "digest": parent.digest_of(wanted.parent.step)}
            if parent and wanted.parent
            else None,
            **({"compressed": less["figures"]} if less else {}),
            "joined": joined,
            "versions": versions(panel.base_model().unpacked),
            "targets": _targets(wanted),
            "notes": [],
            **made,
            "seconds": {"bake": round(time.monotonic() - clock, 2)},
            "started": started,
            "finished": _now(),
            "lost": [one.as_data() for one in kept if one.rows],
        },
    )
    shutil.rmtree(folder / PARENT, ignore_errors=True)


def _added(
    folder: Path,
    repo: ModelRepo,
    bake_id: str,
    wanted: Wanted,
    before: Path | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """Write the adapter of what is only added up; return what bake.json says of it."""
    from bakery.engine.models import adapter_folder

    out = folder / str(STEP)
    with drafts.draft(folder, str(STEP)) as draft:
        weights = own_weights(repo, wanted, reporter)
        rank = write(draft / "adapter", repo, bake_id, weights, before)
        digest = adapter_folder.digest(draft / "adapter")
        (draft / "adapter").rename(out)
    return {"step": STEP, "digest": digest, "training": {"r": rank}}


def own_weights(repo: ModelRepo, wanted: Wanted, reporter: Reporter) -> Any:
    """Return what is put on the parent, as it is added up: factors by layer."""
    from bakery.engine.models import joined

    sides = [
        joined.of(
            [joined.Taken(link.model.bake_id, stored.weights(repo, link.model)) for link in side]
        )
        for side in wanted.sides
    ]
    if wanted.rank is None:
        return joined.side_by_side(sides)
    reporter.note(f"finding the nearest {wanted.rank} ranks")
    return (joined.ties if wanted.how == "ties" else joined.together)(sides, wanted.rank)


def write(out: Path, repo: ModelRepo, bake_id: str, weights: Any, before: Path | None) -> int:
    """Write a composed adapter to a new folder; return how many ranks are its own.

    `before` has the ranks of those that it is put on, as they are.
    """
    from bakery.engine.bases import bases
    from bakery.engine.models import joined

    base = repo.state().base
    named = bases.unpacked_at(base) or base.name
    joined.write(out, weights, bake_id=bake_id, parent=before, base=named, revision=base.revision)
    return len(next(iter(weights.values()))[0])


def _targets(wanted: Wanted) -> list[dict[str, Any]]:
    """Return the targets that the slices were trained on: what a later bake may name and replay."""
    found: dict[str, dict[str, Any]] = {}
    for side in wanted.sides:
        for link in side:
            for target in link.bake.data["targets"]:
                if not target.get("role"):
                    found.setdefault(target["id"], dict(target))
    return list(found.values())


def _figures(one: Kept) -> dict[str, Any]:
    """Return what a recipe says of a target: figures alone."""
    data = one.as_data()
    return {key: data[key] for key in data if key != "rows"}


def _kept(result: Mapping[str, Any]) -> tuple[Kept, ...]:
    rows = {one["target"]: one["rows"] for one in result.get("lost", ())}
    return tuple(
        Kept(
            **{key: value for key, value in one.items() if key != "is_lost"},
            rows=tuple(Row(**row) for row in rows.get(one["target"], ())),
        )
        for one in result["joined"]["kept"]
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
