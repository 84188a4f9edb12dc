"""How `bgit gc` removes: one at a time, undone where it is killed, never what is needed by now."""

from __future__ import annotations

import json

import pytest

from bakery.app import gc
from bakery.reporting import Quiet
from bakery.store.store import BusyError
from tests.support.collecting import (
    begun,
    collected,
    configured,
    contents,
    forgotten,
    here,
    ids,
    unneeded,
)
from tests.support.commands import typed_here
from tools.planted import NOBODY


def test_a_dry_run_removes_nothing(demo, bakes):
    forgotten(demo, "deleted")
    before = here(demo)
    found = collected(demo, dry_run=True)
    assert {left.path.name for left in found.removed} == ids(bakes["five"])
    assert found.bytes > 0
    assert here(demo) == before


def test_only_one_collects_at_a_time(demo):
    with demo.store.lock(demo.store.root / "gc", "bgit gc"), pytest.raises(BusyError, match="gc"):
        collected(demo)


def test_from_python(demo):
    import bakery

    gone = unneeded(demo)
    repo = bakery.Repo(demo.root, progress=False)
    assert repo.fsck().is_sound
    assert [found.kind for found in repo.fsck(whole=False).findings] == ["orphaned"]
    assert [left.path.name for left in repo.gc(prune="now", dry_run=True).removed] == [gone]
    assert repo.gc(prune="now").as_data()["schema"] == 1
    assert gone not in here(demo)


def test_a_run_that_begins_meanwhile_gets_it_back(demo):
    gone = begun(demo, "late")
    found = collected(demo, dry_run=True)
    configured(demo.root, "late")  # what `gc` is about to remove is needed now
    before = contents(demo, {gone})
    removed, kept = gc.remove(demo, found.removed, ())
    assert (removed, [left.kept for left in kept]) == ([], ["needed by now"])
    assert contents(demo, {gone}) == before


def test_a_killed_collection_is_undone(demo, bakes):
    one = demo.store.bake(bakes["one"].model.bake_id)
    aside = demo.store.root / f"gc-{NOBODY}"
    aside.mkdir()
    places = [f"bake/{one.name}", "../../../../elsewhere"]
    (aside / "moved.json").write_text(json.dumps(places), encoding="utf-8")
    one.rename(aside / "0")
    quiet = Quiet()
    gc.gc(demo, prune="now", reporter=quiet)
    assert one.is_dir()
    assert not aside.exists()
    assert "what it had moved aside is back" in quiet.notes[0]


def test_the_command_removes_lists_and_is_quiet(demo, monkeypatch):
    monkeypatch.chdir(demo.root)
    gone = unneeded(demo)
    done = typed_here("gc", "--dry-run", "--prune=now")
    assert f"questions  .git/bakery/stim/{gone}" in done.output
    assert "one thing that nothing needs would be removed" in done.output
    assert "1 more stays: touched not long ago" in typed_here("gc", "--weights-only").output
    said = json.loads(typed_here("gc", "--dry-run", "--json", "--prune=now").stdout)
    assert (said["schema"], [row["kind"] for row in said["removed"]]) == (1, ["questions"])
    assert typed_here("gc", "--no-weights", "--prune=now").exit_code == 0
    assert typed_here("gc", "--auto", "--prune=now").exit_code == 0
    assert typed_here("gc", "--weights-only", "--prune=now", "--no-prune").exit_code == 0
    assert gone in here(demo)
    assert typed_here("gc", "--prune=now", "-q").output == ""
    assert gone not in here(demo)
