"""Bakes that a process goes on reading, and what a collection makes of that."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from bakery.app import gc
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store import lease
from bakery.store.lease import Lease
from tests.support import recorded
from tests.support.recorded import git


@pytest.fixture
def baked(repo):
    """A repository with one bake."""
    recorded.baked(repo, "pirate")
    return repo


def test_what_a_server_reads_is_not_collected(baked):
    model = baked.state().parent
    held = Lease(baked.store, "bgit serve")
    held.add(model.bake_id)
    assert lease.held(baked.store) == {model.bake_id}
    baked.revert(["pirate"], Quiet())
    git(baked.root, "reset", "-q", "--hard", git(baked.root, "rev-list", "--max-parents=0", "HEAD"))
    git(baked.root, "update-ref", "-d", "ORIG_HEAD")
    git(baked.root, "reflog", "expire", "--expire=now", "--all")
    assert model.bake_id not in unneeded(baked)
    held.close()
    assert lease.held(baked.store) == set()
    assert model.bake_id in unneeded(baked)


def unneeded(repo: ModelRepo) -> set[str]:
    """Return the ids of what a collection would take."""
    found = gc.gc(repo, prune="now", dry_run=True, reporter=Quiet())
    return {left.path.name for left in found.removed}


def test_what_a_killed_server_held_is_free_again(baked):
    program = (
        "import os; from bakery.repo.model_repo import ModelRepo; "
        "from bakery.store.lease import Lease; "
        "Lease(ModelRepo.find().store, 'x').add('ab' * 8); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=baked.root, check=False)
    assert list((baked.store.root / "held").glob("*.json"))
    assert lease.held(baked.store) == set()
    Lease(baked.store, "bgit serve").close()
    assert list((baked.store.root / "held").iterdir()) == []


def test_what_was_killed_before_it_held_anything_leaves_nothing_for_ever(baked):
    folder = baked.store.root / "held"
    program = (
        "import os; from bakery.repo.model_repo import ModelRepo; "
        "from bakery.store.lease import Lease; Lease(ModelRepo.find().store, 'x'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=baked.root, check=False)
    (lock,) = folder.iterdir()
    Lease(baked.store, "bgit serve").close()
    assert list(folder.iterdir()) == [lock]  # as far as anybody knows it is about to be taken
    os.utime(lock, (1, 1))
    living = Lease(baked.store, "bgit serve")
    (kept,) = folder.iterdir()
    os.utime(kept, (1, 1))
    Lease(baked.store, "bgit serve").close()
    assert list(folder.iterdir()) == [kept]
    living.close()


def test_a_lease_of_another_machine_counts_while_its_lock_is_held(baked):
    held = Lease(baked.store, "bgit serve")
    held.add("ab" * 8)
    (path,) = (baked.store.root / "held").glob("*.json")
    said = json.loads(path.read_text())
    said["process"]["host"] = "elsewhere"
    path.write_text(json.dumps(said))
    assert lease.held(baked.store) == {"ab" * 8}
    held._alive.release()
    assert lease.held(baked.store) == set()
