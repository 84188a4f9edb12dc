"""Is what lies in the store what recipes say, over all branches, and what each part says of itself?

Nothing is changed. What this clone does not have is no damage: `bgit import` brings it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.app import fsck_beside, fsck_jobs, fsck_requests, gc
from bakery.errors import BakeryError
from bakery.identity import file_digest
from bakery.plain import plain
from bakery.repo.files.names import INPUT, RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.history.lineage import Lineage
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import findings, results
from bakery.store.findings import AGAIN, ID, STORE_FOLDERS, Finding, Kind
from bakery.store.results import DONE, METRICS, REQUEST, RESULT, STIMULI, TRAJECTORIES, WEIGHTS

TOLD_S = 0.1
"""How often it is said how far it is."""

IMPORT = "`bgit import DIR` takes the recorded one from another clone or an export"
ANEW = "it is written anew from the weights and recipe.yml when it is needed"

_OF_A_BAKE = frozenset(
    {INPUT, RESULT, DONE, METRICS, REQUEST, "numerics.json", "start.json",
     results.ASKED, results.PROBES, results.EVALS, results.TESTED, results.TENSORBOARD,
     *results.LEFT_BY_TRAINING}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """What `bgit fsck` found in the store, and how much it looked at."""

    store: Path
    findings: tuple[Finding, ...]
    models: int
    """Models of which the weights are here."""
    missing: int
    """Recorded models of which this clone has no weights: not every clone needs them."""
    rows: int
    """Sets of questions and of answers that are here."""
    is_whole: bool
    """Whether every byte was read; else heads, sizes and what files say of one another."""
    read_bytes: int
    read_s: float
    """Seconds that it took to read them; the rest went into all else."""
    seconds: float

    @property
    def is_sound(self) -> bool:
        """Whether nothing is lost or false. Left-overs are listed, and are no damage."""
        return not any(found.is_damage for found in self.findings)

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit fsck --json` prints."""
        names = (
            "store",
            "findings",
            "models",
            "missing",
            "rows",
            "is_whole",
            "read_bytes",
            "read_s",
        )
        data = {name: plain(getattr(self, name)) for name in names}
        return {"schema": 1, "is_sound": self.is_sound, **data, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recipe says of a set of questions or answers."""

    name: str
    digest: str
    count: int
    bake: RecordedBake


def fsck(
    repo: ModelRepo, *, whole: bool = True, dangling: bool = True, reporter: Reporter
) -> Checked:
    """Check every object of the store; not `whole`: without reading all of its bytes.

    `dangling`: what nothing needs is listed, too.
    """
    began, look = time.monotonic(), _Look(repo, whole, reporter)
    found = list(look.all())
    if dangling:
        found += _unneeded(repo)
    found = [one for one in found if one.is_damage or dangling]
    return Checked(
        repo.store.root,
        tuple(found),
        look.models,
        look.missing,
        look.rows,
        whole,
        look.read,
        look.read_s,
        time.monotonic() - began,
    )


@dataclass(slots=True)
class _Look:
    """One walk through a store: what recipes say, and what was counted so far."""

    repo: ModelRepo
    whole: bool
    reporter: Reporter
    lineage: Lineage = field(init=False)
    bakes: dict[str, RecordedBake] = field(default_factory=dict)
    stims: dict[str, list[Recorded]] = field(default_factory=dict)
    targets: dict[str, list[Recorded]] = field(default_factory=dict)
    models: int = 0
    missing: int = 0
    rows: int = 0
    read: int = 0
    read_s: float = 0.0

    def all(self) -> Iterator[Finding]:
        """Yield what is wrong: in recipes, then folder by folder."""
        yield from self._recipes()
        store = self.repo.store
        folders = [p for kind in STORE_FOLDERS for p in findings.entries(store.root / kind)]
        told = time.monotonic()
        for number, folder in enumerate(folders, start=1):
            yield from self._folder(folder)
            now = time.monotonic()
            if now - told >= TOLD_S or number == len(folders):
                told, rate = now, self.read / 1e6 / max(self.read_s, 1e-6)
                detail = f"{rate:,.0f} MB/s" if self.whole else ""
                self.reporter.progress("fsck", number, len(folders), detail)
        yield from self._absent()
        yield from fsck_jobs.problems(self.repo)
        for path in findings.drafts(store):
            yield Finding("orphaned", path, path.name, "a writer that ended left it behind",
                          "`bgit gc` removes it")  # fmt: skip

    def _recipes(self) -> Iterator[Finding]:
        """Take over what all recipes say; yield what cannot be read."""
        lineage = self.lineage = self.repo.lineage()
        for problem in lineage.problems:
            yield Finding("damaged", self.repo.root / RECIPE, RECIPE, problem,
                          f"`git log -p -- {RECIPE}` on that branch shows when")  # fmt: skip
        for bake in lineage.bakes.values():
            try:
                targets = bake.data["targets"] if self.whole else bake.part("targets") or ()
            except BakeryError as error:
                yield Finding("damaged", self.repo.root / RECIPE, bake.name, error.message,
                              error.hint or "")  # fmt: skip
                continue
            self.bakes[bake.id] = bake
            if bake.parent is not None and bake.parent.bake_id not in lineage.bakes:
                yield Finding("missing", self.repo.root / RECIPE, bake.name,
                              f"it was baked on {bake.parent}, which no branch has",
                              "`git fetch --all --tags` may bring that branch")  # fmt: skip
            for target in targets:
                asked = Recorded(target["name"], target["stimuli_digest"], target["stimuli"], bake)
                answered = Recorded(
                    target["name"], target["trajectories_digest"], target["trajectories"], bake
                )
                self.stims.setdefault(target["stim_id"], []).append(asked)
                self.targets.setdefault(target["id"], []).append(answered)

    def _digest(self, path: Path) -> str:
        """Return the digest of a file; how much was read, and how fast, is counted."""
        began = time.monotonic()
        found = file_digest(path)
        self.read_s += time.monotonic() - began
        self.read += path.stat().st_size
        return found

    def _folder(self, folder: Path) -> Iterator[Finding]:
        """Yield what is wrong in one folder of a stage; nothing while a process is at it."""
        kind = folder.parent.name
        if self.repo.store.held_since(folder) is not None or findings.is_draft(folder):
            return
        if kind == "bake" and AGAIN.fullmatch(folder.name) and folder.is_dir():
            yield Finding("orphaned", folder, folder.name, "a training was stopped before it ended",
                          "`bgit gc` removes it")  # fmt: skip
            return
        if not ID.fullmatch(folder.name) or folder.is_symlink() or not folder.is_dir():
            yield Finding("foreign", folder, folder.name, f"no {kind} is called so",
                          "move it elsewhere, or delete it")  # fmt: skip
            return
        if why := fsck_requests.problem(folder):
            yield self._whole_folder(why[0], folder, REQUEST, why[1])
            return
        if kind == "bake":
            yield from self._bake(folder)
        else:
            name = STIMULI if kind == "stim" else TRAJECTORIES
            yield from self._rows(folder, name)

    def _whole_folder(self, kind: Kind, folder: Path, name: str, why: str) -> Finding:
        return Finding(kind, folder / name, self._called(folder), why, self._mend(folder))

    def _mend(self, folder: Path) -> str:
        """Return how all that lies in a folder comes to be what it was."""
        if (known := self._known(folder)) is None:
            return f"delete {folder}: the next run makes it anew"
        return f"{IMPORT}, or `bgit reproduce {known.name}` makes it again"

    def _known(self, folder: Path) -> RecordedBake | None:
        """Return a bake whose recipe names what lies in a folder; None: none does."""
        if folder.parent.name == "bake":
            return self.bakes.get(folder.name)
        named = self._recorded(folder)
        return named[0].bake if named else None

    def _recorded(self, folder: Path) -> list[Recorded]:
        rows = self.stims if folder.parent.name == "stim" else self.targets
        return rows.get(folder.name, [])

    def _called(self, folder: Path) -> str:
        if folder.parent.name == "bake":
            known = self.bakes.get(folder.name)
            return str(known.model) if known else f"bake {folder.name}"
        what = "questions" if folder.parent.name == "stim" else "answers"
        rows = self._recorded(folder)
        return f"{what} of {rows[0].name}" if rows else f"{what} {folder.name}"

    def _rows(self, folder: Path, name: str) -> Iterator[Finding]:
        self.rows += 1
        recorded = self._recorded(folder)
        if not results.is_done(folder):
            if recorded:
                yield self._whole_folder("missing", folder, DONE, "it is missing")
            elif (folder / name).exists() and (
                wrong := findings.rows_problem(folder / name, None, None)
            ):
                yield Finding(wrong[0], folder / name, self._called(folder), wrong[1],
                              "delete that line: the next run makes its row again")  # fmt: skip
            return
        if wrong := findings.object_problem(folder / DONE):
            yield self._whole_folder(wrong[0], folder, DONE, wrong[1])
            return
        said = json_file.load_object(folder / DONE)
        digests = [row.digest for row in recorded] or [str(said.get("digest"))]
        digest = said.get("digest") if said.get("digest") in digests else digests[0]
        if recorded and said.get("digest") not in digests:
            why = f"it says {str(said.get('digest'))[:16]}, and recipe.yml {digests[0][:16]}"
            yield self._whole_folder("foreign", folder, DONE, why)
            return
        count = recorded[0].count if recorded else said.get("count")
        if said.get("count") != count or not json_file.is_whole(count):
            yield self._whole_folder("damaged", folder, DONE, "it has another count than recorded")
        count = count if json_file.is_whole(count) else None
        read = self._digest if self.whole else None
        if wrong := findings.rows_problem(folder / name, digest, count, digest=read):
            yield self._whole_folder(wrong[0], folder, name, wrong[1])

    def _bake(self, folder: Path) -> Iterator[Finding]:
        bake = self.bakes.get(folder.name)
        done, said = results.is_done(folder), None
        if done:
            for name in (DONE, RESULT):
                if wrong := findings.object_problem(folder / name):
                    yield self._whole_folder(wrong[0], folder, name, wrong[1])
            said = results.seen(folder / RESULT) or {}
            if str(said.get("bake_id", folder.name)) != folder.name:
                why = f"it is of bake {str(said['bake_id'])[:16]}"
                yield self._whole_folder("foreign", folder, RESULT, why)
            elif bake is not None and said.get("digest", bake.digest) != bake.digest:
                why = f"it says {str(said['digest'])[:16]}, and recipe.yml {bake.digest[:16]}"
                yield self._whole_folder("foreign", folder, RESULT, why)
            elif (
                self.whole
                and bake is not None
                and said
                and (wrong_key := fsck_beside.result_problem(said, bake)) is not None
            ):
                yield self._whole_folder("damaged", folder, RESULT, wrong_key)
        steps = _steps(bake, said)
        if not done and bake is None:
            yield from fsck_beside.checkpoints(folder)
        if not done and bake is not None and (folder / str(bake.model.step) / WEIGHTS).exists():
            yield self._whole_folder("missing", folder, DONE, "it is missing")
        for step, digest in steps.items():
            place = folder / str(step)
            if place.exists() or done:
                yield from self._weights(place, bake, digest)
        for path in findings.strangers(folder, _OF_A_BAKE | set(map(str, steps))):
            if done and path.name not in _OF_A_BAKE:
                yield Finding("foreign", path, self._called(folder), "no recipe names it",
                              "move it elsewhere, or delete it")  # fmt: skip
        if done:
            name = self._called(folder)
            yield from fsck_beside.problems(self.repo, folder, bake, name, whole=self.whole)

    def _weights(
        self, place: Path, bake: RecordedBake | None, digest: str | None
    ) -> Iterator[Finding]:
        """Yield what is wrong in the folder of a step: its weights, what follows from them."""
        from bakery.engine.models import adapter_check

        name = f"{self._called(place.parent).rpartition('/')[0] or place.parent.name}/{place.name}"
        weights = place / WEIGHTS
        mend = self._mend(place.parent)
        if weights.is_symlink() or place.is_symlink():
            yield Finding("foreign", weights, name, "it is a link instead of a file", mend)
            return
        chain, complete = None, True
        if bake is not None:
            chain, complete = show.ranks(self.lineage, bake)
        self.models += 1
        sound = True
        for wrong in adapter_check.damages(place, chain, whole=complete):
            kind: Kind = "damaged"
            if not wrong.path.exists():
                kind = "missing"
            elif wrong.path.name == WEIGHTS:
                kind = findings.weights_problem(wrong.path)
            sound = sound and wrong.path.name != WEIGHTS
            anew = ANEW if kind == "missing" else f"delete it: {ANEW}"
            yield Finding(kind, wrong.path, name, wrong.why, anew if wrong.is_derived else mend)
        for path in findings.strangers(place):
            yield Finding("foreign", path, name, "no bake writes such a file beside weights",
                          "move it elsewhere, or delete it")  # fmt: skip
        if self.whole and sound and digest is not None and (is_ := self._digest(weights)) != digest:
            why = f"its digest is {is_[:16]}, and recorded is {digest[:16]}"
            yield Finding("damaged", weights, name, why, mend)

    def _absent(self) -> Iterator[Finding]:
        """Count the recorded models without a folder; yield answers whose questions are gone."""
        store = self.repo.store
        for bake in self.bakes.values():
            folder = store.bake(bake.id)
            absent = [m for m in bake.models if not (folder / str(m.step) / WEIGHTS).exists()]
            self.missing += len(absent)
        for target_id, recorded in self.targets.items():
            folder = store.target(target_id)
            said = results.seen(folder / DONE) or {}
            stim = str(said.get("stim_id", ""))
            if ID.fullmatch(stim) and not store.stim(stim).exists():
                yield Finding("missing", store.stim(stim), f"questions of {recorded[0].name}",
                              "the answers are here, and not their questions",
                              f"`bgit import DIR --all` takes them, or `bgit reproduce "
                              f"{recorded[0].bake.name}` makes them again")  # fmt: skip


def _unneeded(repo: ModelRepo) -> Iterator[Finding]:
    unneeded, unsure = gc.unneeded(repo)
    mend = "`bgit gc` removes it once it is old enough"
    if unsure:
        mend += ", and once what may need it can be read"
    for left in unneeded:
        yield Finding("orphaned", left.path, f"{left.kind} {left.path.name}",
                      "no branch, tag, stash, reflog entry or job needs it", mend)  # fmt: skip


def _steps(bake: RecordedBake | None, said: dict[str, Any] | None) -> dict[int, str | None]:
    """Return the steps that a bake has kept, each with its digest, where it is known."""
    if bake is not None:
        return {model.step: bake.digest_of(model.step) for model in bake.models}
    kept = (said or {}).get("checkpoints") or ()
    rows = [said or {}, *(kept if isinstance(kept, list) else ())]
    return {
        row["step"]: row["digest"] if isinstance(row.get("digest"), str) else None
        for row in rows
        if isinstance(row, dict) and json_file.is_whole(row.get("step"))
    }
