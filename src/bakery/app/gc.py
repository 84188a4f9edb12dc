"""What nothing needs any more leaves the store: no branch, tag, stash, reflog, working tree or job.

Nothing is deleted at its place. It is moved aside under its lock, and looked at once more: a run
that began meanwhile gets it back. What an endpoint was paid for stays, unless it is asked for.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.app import gc_left, gc_needs
from bakery.app.gc_left import Left
from bakery.errors import ConfigError
from bakery.json_file import DamagedError
from bakery.plain import plain
from bakery.records import write_atomic
from bakery.repo.look.needed import Needed
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store.store import BusyError, Store

ASIDE, MOVED = "gc-", "moved.json"
"""A folder for what is about to be deleted, and where each of it lay."""

AT_ONCE = 100
"""How much is held at a time: a process may not open much more."""

DEFAULT_AGE = "2.weeks.ago"
"""As git's own, where `gc.pruneExpire` says nothing."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What `bgit gc` removed, or would remove, and what it left though nothing names it."""

    store: Path
    removed: tuple[Left, ...]
    kept: tuple[Left, ...]
    """Each with the reason."""
    is_dry_run: bool

    @property
    def bytes(self) -> int:
        """How much room was made."""
        return sum(left.bytes for left in self.removed)

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit gc --json` prints."""
        names = ("store", "is_dry_run", "bytes", "removed", "kept")
        return {"schema": 1, **{name: plain(getattr(self, name)) for name in names}}


def gc(
    repo: ModelRepo,
    *,
    prune: str | None = None,
    paid: bool = False,
    also: Sequence[Path] = (),
    dry_run: bool = False,
    reporter: Reporter,
) -> Collected:
    """Remove what nothing needs and nobody has touched since `prune`, a date as git reads it.

    `also` are other repositories of this store; `paid`: what came from an endpoint, too.
    """
    before = _moment(repo, prune)
    with repo.store.lock(repo.store.root / "gc", "bgit gc"):
        _undo(repo.store, reporter)
        return _collect(repo, before, paid, also, dry_run, reporter)


def _collect(
    repo: ModelRepo,
    before: float,
    paid: bool,
    also: Sequence[Path],
    dry_run: bool,
    reporter: Reporter,
) -> Collected:
    with reporter.doing("reading what branches, reflogs and jobs need"):
        needed = gc_needs.of_store(repo, also)
    if why := _unsure(repo, needed, also):
        reporter.note(why)
    found = gc_left.left(repo.store, needed, sure=why is None, before=before, paid=paid)
    gone = [left for left in found if left.kept is None]
    kept = [left for left in found if left.kept is not None]
    if not dry_run:
        gone, others = remove(repo, gone, also)
        kept += others
    return Collected(repo.store.root, tuple(gone), tuple(kept), dry_run)


def unneeded(repo: ModelRepo) -> tuple[list[Left], bool]:
    """Return objects that nothing needs, whatever their age; and whether more may need them.

    Of a store that may be others', too, nothing is known.
    """
    if repo.store.is_shared:
        return [], True
    needed = gc_needs.of_store(repo, ())
    found = gc_left.left(repo.store, needed, sure=True, before=time.time(), paid=True)
    return [left for left in found if left.is_object], bool(needed.unclear)


def _unsure(repo: ModelRepo, needed: Needed, also: Collection[Path]) -> str | None:
    """Return why only left-overs are removed; None: it is known what is needed."""
    if repo.store.is_shared and not also:
        return (
            f"{repo.store.root} may be the store of several repositories: only what dead processes "
            "left is removed. `--beside REPOSITORY` names each of the others (this one, where "
            "there is none)"
        )
    if needed.unclear:
        more = len(needed.unclear) - 1
        return (
            "only what dead processes left is removed, as something cannot be read, and may need "
            f"anything: {needed.unclear[0]}{f' (and {more} more)' if more else ''}"
        )
    return None


def _moment(repo: ModelRepo, prune: str | None) -> float:
    """Return the time before which nobody may have touched what is removed."""
    date = prune or repo.git.ask("config", "gc.pruneExpire") or DEFAULT_AGE
    said = repo.git.ask("-c", f"gc.ours={date}", "config", "--type=expiry-date", "gc.ours")
    if not said or not said.isdigit():
        raise ConfigError(f"--prune={date} is no date that git reads", hint="Try 2.weeks.ago.")
    return float(said)


def remove(
    repo: ModelRepo, gone: Sequence[Left], also: Sequence[Path]
) -> tuple[list[Left], list[Left]]:
    """Remove what is still not needed once it lies aside; return that, and what stays."""
    removed: list[Left] = []
    kept: list[Left] = []
    for number in range(0, len(gone), AT_ONCE):
        some, others = _remove_some(repo, gone[number : number + AT_ONCE], also)
        removed += some
        kept += others
    return removed, kept


def _remove_some(
    repo: ModelRepo, gone: Sequence[Left], also: Sequence[Path]
) -> tuple[list[Left], list[Left]]:
    store, aside = repo.store, repo.store.root / f"{ASIDE}{os.getpid()}"
    places = [str(left.path.relative_to(store.root)) for left in gone]
    write_atomic(aside / MOVED, json.dumps(places) + "\n")
    removed: list[Left] = []
    kept: list[Left] = []
    with ExitStack() as locks:  # until what is needed by now is back: who waits finds it whole
        moved = []
        held: set[Path] = set()
        for number, left in enumerate(gone):
            try:
                if left.locked not in held:
                    locks.enter_context(store.lock(left.locked, "bgit gc"))
                held.add(left.locked)
            except BusyError:
                kept.append(left.but("in use"))
                continue
            with suppress(FileNotFoundError):  # its process has taken it away by itself
                left.path.rename(aside / str(number))
                moved.append((left, aside / str(number)))
        needed = gc_needs.of_store(repo, also)
        for left, to in moved:
            if gc_left.is_needed(left, needed):
                _put_back(store, to, left.path)
                kept.append(left.but("needed by now"))
            else:
                _delete(to)
                removed.append(left)
    shutil.rmtree(aside, ignore_errors=True)
    return removed, kept


def _put_back(store: Store, aside: Path, place: Path) -> None:
    """Move something to its place again; where that is taken, it is kept among the replaced."""
    place = store.place_aside(place) if place.exists() else place
    place.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(place)


def _undo(store: Store, reporter: Reporter) -> None:
    """Put back what a collection that was killed had moved aside: there is never a second one."""
    for aside in sorted(store.root.glob(f"{ASIDE}*")):
        try:
            places = json_file.load_list(aside / MOVED)
        except (DamagedError, OSError) as error:
            reporter.note(f"{aside} is left as it is: its {MOVED} cannot be read: {error}")
            continue
        for number, place in enumerate(map(str, places)):
            if (aside / str(number)).exists() and ".." not in Path(place).parts:
                _put_back(store, aside / str(number), store.root / place)
        shutil.rmtree(aside, ignore_errors=True)
        reporter.note("an earlier `bgit gc` was stopped: what it had moved aside is back")


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
