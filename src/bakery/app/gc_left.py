"""What lies in a store and nothing names, with the reason where it stays all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakery.plain import Plain
from bakery.repo.look.needed import Needed
from bakery.schema.model_names import HOSTED, kind_of
from bakery.store import findings, results
from bakery.store.results import REQUEST
from bakery.store.store import Store

_KINDS = {"stim": "questions", "target": "answers", "bake": "weights"}


@dataclass(frozen=True, slots=True)
class Left(Plain):
    """Something that nothing needs. `kept`: why it stays; None: it goes."""

    kind: str
    """questions, answers, weights, replaced, or left over"""
    path: Path
    bytes: int
    kept: str | None = None

    @property
    def locked(self) -> Path:
        """The folder that a process holds which is at it."""
        inside = self.path.parent
        return inside if findings.ID.fullmatch(inside.name) else self.path

    @property
    def is_object(self) -> bool:
        """Whether a stage made it, and it lies where stages look for it."""
        return self.kind in _KINDS.values()

    def but(self, why: str) -> Left:
        """Return it with why it stays."""
        return replace(self, kept=why)


def left(store: Store, needed: Needed, *, sure: bool, before: float, paid: bool) -> list[Left]:
    """Return what nothing needs. Not `sure`: only what dead processes left is known to be that.

    What somebody touched after `before` stays, and all that it was made of.
    """
    found: list[Left] = []
    needs = Needed(set(needed.stims), set(needed.targets), set(needed.bakes))
    # From what is made to what it is made of: what stays keeps the rest.
    for kind, ids in (("bake", needs.bakes), ("target", needs.targets), ("stim", needs.stims)):
        folders = {f.name: f for f in findings.entries(store.root / kind) if _is_ours(f)}
        # What is needed is not looked at: of a long history that is nearly everything.
        spare = [name for name in folders if sure and name not in ids]
        ones = {name: _of_stage(store, kind, folders[name], before, paid) for name in spare}
        waiting = [name for name in folders if name not in ones or ones[name].kept is not None]
        seen: set[str] = set()
        while waiting:  # a bake that stays keeps the one that it was made on
            if (name := waiting.pop()) not in seen and name in folders:
                seen.add(name)
                if name not in needed.complete:
                    _keep_inputs(folders[name], needs)
                    waiting += ids - seen
        found += [one for name, one in ones.items() if name not in ids]
    found += _leftovers(store, before)
    if sure:
        for kind in ("replaced", "reproduced"):
            for path in findings.entries(store.root / kind):
                one = _aged(store, kind, path, before)
                found.append(one.but("paid for") if not paid and _is_paid(path) else one)
    return found


def is_needed(one: Left, needed: Needed) -> bool:
    """Tell whether something is needed by now."""
    return one.path.name in needed_of(needed, one.path.parent.name)


def needed_of(needed: Needed, kind: str) -> set[str]:
    """Return the ids that are needed of one kind of folder."""
    return {"stim": needed.stims, "target": needed.targets, "bake": needed.bakes}.get(kind, set())


def _is_ours(folder: Path) -> bool:
    """Tell whether a stage made a folder; `bgit fsck` names any other."""
    return findings.ID.fullmatch(folder.name) is not None and not folder.is_symlink()


def _of_stage(store: Store, kind: str, folder: Path, before: float, paid: bool) -> Left:
    one = _aged(store, _KINDS[kind], folder, before)
    if one.kept is None and not paid and _is_paid(folder):
        return one.but("paid for")
    return one


def _aged(store: Store, kind: str, path: Path, before: float) -> Left:
    """Return something with its size, and why it stays, if a process is at it or was lately."""
    size, newest = _size_and_time(path)
    one = Left(kind, path, size)
    if store.held_since(one.locked) is not None:
        return one.but("in use")
    return one.but("too young") if newest >= before else one


def _size_and_time(path: Path) -> tuple[int, float]:
    """Return how many bytes something takes, and when it was last written to."""
    seen = [path.lstat()]
    if path.is_dir() and not path.is_symlink():
        for folder, _, names in os.walk(path):
            seen += [Path(folder, name).lstat() for name in names]
    size = sum(stat.st_size for stat in seen[1:]) or seen[0].st_size
    return size, max(stat.st_mtime for stat in seen)


def _keep_inputs(folder: Path, needs: Needed) -> None:
    """Add what lies below something that stays: questions of answers, answers of a training."""
    asked = results.seen(folder / REQUEST) or {}
    said = results.seen(folder / results.DONE) or {}
    for stim in (asked.get("stim_id"), said.get("stim_id")):
        if isinstance(stim, str):
            needs.stims.add(stim)
    shares = asked.get("shares")
    made = (results.seen(folder / results.RESULT) or {}).get("targets")
    for rows in (shares, made):
        for row in rows if isinstance(rows, list) else ():
            if isinstance(row, dict) and isinstance(row.get("id"), str):
                needs.targets.add(row["id"])
    parent = asked.get("parent")
    if isinstance(parent, dict) and isinstance(parent.get("bake"), str):
        needs.bakes.add(parent["bake"][-16:])


def _leftovers(store: Store, before: float) -> Iterator[Left]:
    """Yield what processes that are gone have left."""
    begun = ("import-*", "reproducing/*", "incoming")
    for path in (path for name in begun for path in store.root.glob(name)):
        yield _aged(store, "left over", path, before)
    for folder in findings.entries(store.root / "bake"):
        if findings.AGAIN.fullmatch(folder.name):
            yield _aged(store, "left over", folder, before)
        if not _is_ours(folder) or not results.is_done(folder):
            continue
        for name in results.LEFT_BY_TRAINING:
            if (folder / name).exists():
                yield _aged(store, "left over", folder / name, before)
    for path in findings.drafts(store):
        if "jobs" not in path.parts[-2:-1]:
            yield _aged(store, "left over", path, before)


def _is_paid(folder: Path) -> bool:
    """Tell whether an endpoint may have written or answered what lies in a folder."""
    asked: dict[str, Any] = results.seen(folder / REQUEST) or {}
    names = [asked.get("model")]
    generators = asked.get("generators")
    for generator in generators if isinstance(generators, list) else ():
        if isinstance(generator, dict):
            names.append(generator.get("model"))
    return any(
        isinstance(name, str) and name and (name.startswith(HOSTED) or kind_of(name) == "word")
        for name in names
    )
