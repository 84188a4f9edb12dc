"""Where results lie, and who may write them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.store import Store

HOLDER = """
import os, sys
from pathlib import Path
from bakery.repo.store import Store
store = Store(Path(sys.argv[1]))
with store.lock(store.stim("a" * 16), "bgit run stim"):
    print(os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_folders_are_named_by_id(store):
    assert store.stim("ab") == store.root / "stim" / "ab"
    assert store.target("ab") == store.root / "target" / "ab"
    assert store.bake("ab") == store.root / "bake" / "ab"


def test_the_environment_moves_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("BGIT_STORE", str(tmp_path / "elsewhere"))
    assert Store.beside(tmp_path).root == tmp_path / "elsewhere"


def test_the_size_is_that_of_its_files(store):
    assert store.size() == 0
    store.bake("ab").mkdir(parents=True)
    (store.bake("ab") / "weights").write_bytes(b"x" * 1000)
    assert store.size() == 1000


def test_a_busy_folder_names_its_holder(store):
    folder = store.stim("a" * 16)
    with (
        store.lock(folder, "bgit run stim"),
        pytest.raises(RepoError, match=r"in use by `bgit run stim` \(process \d+ on"),
        store.lock(folder, "again"),
    ):
        pass


def test_other_folders_are_free(store):
    with store.lock(store.stim("a" * 16), "one"), store.lock(store.target("a" * 16), "two"):
        pass


def test_a_dead_holder_blocks_nobody(store):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    pid = holder.stdout.readline().strip()
    with (
        pytest.raises(RepoError, match=f"process {pid} on"),
        store.lock(store.stim("a" * 16), "me"),
    ):
        pass
    holder.kill()
    holder.communicate()
    with store.lock(store.stim("a" * 16), "me"):
        pass
