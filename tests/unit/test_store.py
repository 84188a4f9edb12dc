"""Where results lie, and who may write them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.store.store import Store
from tests.support.recorded import git, made

HOLDER = """
import os, sys
from pathlib import Path
from bakery.store.store import Store
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


@pytest.mark.parametrize("name", ["..", "../../x", "/etc", "", "a/b", "A"])
def test_what_is_no_id_names_no_folder(store, name):
    for folder_of in (store.stim, store.target, store.bake):
        with pytest.raises(RepoError, match="not the id"):
            folder_of(name)


def test_the_environment_moves_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("BGIT_STORE", str(tmp_path / "elsewhere"))
    assert Store.beside(tmp_path).root == tmp_path / "elsewhere"


def test_a_relative_place_of_the_store_is_the_same_from_every_folder(workplace, monkeypatch):
    repo = made(workplace / "yoda")
    other = workplace / "other"
    git(repo.root, "worktree", "add", "-q", str(other))
    (repo.root / "sub").mkdir()
    monkeypatch.setenv("BGIT_STORE", "kept/store")
    places = set()
    for folder in (repo.root, repo.root / "sub", other):
        monkeypatch.chdir(folder)
        places.add(ModelRepo.find().store.root)
    assert places == {repo.root / "kept/store"}


def test_a_relative_store_of_a_submodule_is_in_its_folder(workplace, monkeypatch):
    monkeypatch.setenv("BGIT_STORE", "kept")
    assert Store.beside(workplace / ".git/modules/sub", workplace / "sub").root == (
        workplace / "sub/kept"
    )


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


@contextmanager
def held_elsewhere(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold the folder of some questions."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(store.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() == str(holder.pid)
    try:
        yield holder
    finally:
        holder.kill()
        holder.communicate()


def test_a_dead_holder_blocks_nobody(store):
    folder = store.stim("a" * 16)
    with held_elsewhere(store) as holder:
        with pytest.raises(RepoError, match=f"process {holder.pid} on"), store.lock(folder, "me"):
            pass
        holder.kill()
        holder.wait()
        with store.lock(folder, "me"):
            pass


def test_who_waits_says_once_for_whom_and_then_goes_on(store):
    folder, said = store.stim("a" * 16), []
    with held_elsewhere(store) as holder:

        def announce(text: str) -> None:
            said.append(text)
            holder.kill()

        with store.lock(folder, "me", wait_s=-1, announce=announce):
            pass
    name = f"stim/{'a' * 16}"
    assert len(said) == 1
    assert said[0].startswith(f"{name} is in use by `bgit run stim` (process {holder.pid} on ")
    assert said[0].endswith("): waiting for it")


def test_nothing_is_said_where_nothing_is_waited_for(store):
    said: list[str] = []
    with store.lock(store.stim("ab"), "me", wait_s=-1, announce=said.append):
        pass
    assert said == []


def test_a_name_that_a_dead_process_left_is_nobody_s(store):
    folder, path = store.stim("a" * 16), store.root / "locks" / f"stim-{'a' * 16}.json"
    with held_elsewhere(store):
        who = json.loads(path.read_text("utf-8"))
        who["process"]["started"] -= 1000  # the number was given to another process since
        path.write_text(json.dumps(who), encoding="utf-8")
        with (
            pytest.raises(RepoError, match="in use by another process"),
            store.lock(folder, "me"),
        ):
            pass
