"""What stays in a store though nothing names it: it is young, in use, or was paid for."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bakery.app import gc
from bakery.errors import ConfigError
from bakery.reporting import Quiet
from bakery.store import findings, results
from tests.support.collecting import (
    collected,
    forgotten,
    here,
    ids,
    leftovers,
    unneeded,
)
from tests.support.recorded import git


@pytest.mark.parametrize("prune", ["2.weeks.ago", "never"])
def test_what_is_young_stays(demo, prune):
    gone = unneeded(demo)
    (left,) = collected(demo, prune).kept
    assert (left.path.name, left.kept) == (gone, "too young")
    assert gone in here(demo)


def test_the_age_is_gits_own_where_nothing_is_said(demo):
    gone = unneeded(demo)
    assert gc.gc(demo, reporter=Quiet()).removed == ()
    git(demo.root, "config", "gc.pruneExpire", "now")
    assert [left.path.name for left in gc.gc(demo, reporter=Quiet()).removed] == [gone]
    for date in ("--exec=x", "tomorrov"):
        with pytest.raises(ConfigError, match="no date"):
            collected(demo, date)


def test_what_stays_keeps_what_it_was_made_of(demo, bakes):
    """A young bake that nothing names keeps its answers, their questions, and its parent."""
    three = bakes["three"]
    forgotten(demo, "exp", "deleted", "tagged", "stashed")
    for name in ids(*(bakes[n] for n in ("three", "four", "five", "six"))):
        for path in list(demo.store.root.glob(f"*/{name}")):
            for old in [*path.rglob("*"), path]:
                os.utime(old, (1e9, 1e9))
    os.utime(demo.store.bake(three.model.bake_id) / "bake.json")
    collected(demo, "2.weeks.ago")
    assert here(demo) == ids(bakes["one"], bakes["two"], three)


def test_what_a_process_holds_stays(demo):
    gone = unneeded(demo)
    with demo.store.lock(demo.store.stim(gone), "bgit run stim"):
        (left,) = collected(demo).kept
    assert (left.kept, gone in here(demo)) == ("in use", True)
    assert [left.path.name for left in collected(demo).removed] == [gone]


def test_what_a_training_reads_stays_while_it_works(demo, bakes):
    five = bakes["five"]
    forgotten(demo, "deleted")
    with demo.store.lock(demo.store.bake(five.model.bake_id), "bgit run bake"):
        assert collected(demo).removed == ()
    assert len(collected(demo).removed) == 3


def test_what_a_run_has_found_made_is_as_young_as_the_run(demo):
    gone = demo.store.stim(unneeded(demo))
    for path in (*gone.iterdir(), gone):
        os.utime(path, (1e9, 1e9))
    results.freshen(gone)
    assert collected(demo, "2.weeks.ago").removed == ()
    os.utime(gone, (1e9, 1e9))
    assert [left.path for left in collected(demo, "2.weeks.ago").removed] == [gone]


def test_what_an_endpoint_was_paid_for_stays_until_it_is_asked_for(demo):
    hosted = unneeded(demo, type="oneshot_qs", model="hosted:gpt-5-mini")
    word = unneeded(demo, type="oneshot_qs", model="gpt-5-mini")
    own = unneeded(demo, "Why?")
    found = collected(demo)
    assert [left.path.name for left in found.removed] == [own]
    assert {(left.path.name, left.kept) for left in found.kept} == {
        (hosted, "paid for"),
        (word, "paid for"),
    }
    assert {left.path.name for left in collected(demo, paid=True).removed} == {hosted, word}


def test_what_killed_processes_left_goes(demo):
    left = leftovers(demo.store.root)
    before = here(demo)
    assert {one.path for one in collected(demo).removed} == set(left)
    assert here(demo) == before - {left[2].name}
    assert [path.name for path in demo.store.root.glob(".recipes*")]


def test_the_draft_of_a_killed_writer_is_found_by_the_name_it_really_has(demo):
    """As `write_atomic` leaves it, not as a test would call it."""
    script = (
        "import os, sys; from pathlib import Path; from bakery.records import write_atomic; "
        "Path.replace = lambda *_: os._exit(9); write_atomic(Path(sys.argv[1]), 'x')"
    )
    place = demo.store.root / "locks" / "x.json"
    assert subprocess.run([sys.executable, "-c", script, str(place)], check=False).returncode == 9
    assert list(findings.drafts(demo.store)) == []  # it may be being written
    (draft,) = place.parent.glob(".x.json.*.tmp")
    os.utime(draft, (1e9, 1e9))
    assert list(findings.drafts(demo.store)) == [draft]
    assert [left.path for left in collected(demo).removed] == [draft]
