"""Pushes and pulls that are killed: nothing half is ever seen, and the same command finishes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import Typist, copied
from tests.support.remotes import WEIGHTS, Folder, killed_at

POINTS = [1, 5, 13]
"""Which of the paths that it touches is its last: a few of them in any run."""
MANY = 40


@pytest.fixture
def remote(workplace: Path) -> Folder:
    return Folder(workplace / "weights")


@pytest.fixture
def source(baked_repository: Typist, workplace: Path, remote: Folder) -> Typist:
    made = copied(baked_repository, workplace / "source")
    made.must("weights", "remote", remote.url)
    return made


def killed(typist: Typist, number: int, mark: Path, *words: str) -> bool:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **typist.env}
    return killed_at(number, str(mark), list(words), cwd=typist.root, env=env)


def check_push(source: Typist, remote: Folder, number: int) -> bool:
    """Kill a push, look at what is there, and run it again; tell whether it was killed."""
    was = killed(source, number, remote.root, "push", "--weights-only", "--data")
    assert remote.is_whole()
    source.must("push", "--weights-only", "--data")
    assert remote.is_whole()
    assert len(remote.manifests()) == 2
    assert "0 bytes sent" in source.must("push", "--weights-only", "--data")
    return was


def check_pull(clone: Typist, number: int) -> bool:
    """Kill a pull, look at the store, and run it again; tell whether it was killed."""
    words = ("pull", "--weights-only", "--all-weights", "--data")
    was = killed(clone, number, clone.store, *words)
    if clone.store.exists():
        done = clone("fsck", "--weights-only", "--no-dangling")
        assert done.code == 0, done.out
    clone.must(*words)
    assert clone("fsck", "--weights-only", "--no-dangling").code == 0
    assert len(list(clone.store.glob(f"bake/*/*/{WEIGHTS}"))) == 2
    return was


@pytest.mark.parametrize("number", POINTS)
def test_a_killed_push_is_gone_on_with(source: Typist, remote: Folder, number: int) -> None:
    assert check_push(source, remote, number)


@pytest.mark.parametrize("number", POINTS)
def test_a_killed_pull_is_gone_on_with(source: Typist, workplace: Path, number: int) -> None:
    source.must("push", "--weights-only", "--data")
    assert check_pull(cloned(source, workplace / "clone"), number)


def cloned(source: Typist, folder: Path) -> Typist:
    source.git("clone", "-q", str(source.root), str(folder))
    made = Typist(folder, source.env)
    made.git("config", "bgit.weightsremote", source.git("config", "bgit.weightsremote"))
    return made


@pytest.mark.slow
def test_a_push_may_be_killed_anywhere(
    baked_repository: Typist, source: Typist, workplace: Path
) -> None:
    count = 0
    for number in range(1, 2 * MANY, 2):
        remote = Folder(workplace / f"remote-{number}")
        source.git("config", "bgit.weightsremote", remote.url)
        count += check_push(source, remote, number)
    assert count == MANY


@pytest.mark.slow
def test_a_pull_may_be_killed_anywhere(source: Typist, workplace: Path) -> None:
    source.must("push", "--weights-only", "--data")
    killed_many = [
        check_pull(cloned(source, workplace / f"clone-{number}"), number)
        for number in range(1, 4 * MANY, 4)
    ]
    assert sum(killed_many) == MANY
