"""A remote that lies: every wrong byte is refused and named, and nothing of it is taken."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Typist, copied
from tests.support.remotes import WEIGHTS, Folder


@pytest.fixture(scope="module")
def pushed(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository whose weights, questions and answers lie in the folder beside it."""
    root = tmp_path_factory.mktemp("pushed")
    made = copied(baked_repository, root / "source")
    made.must("weights", "remote", f"file://{root}/weights")
    made.must("push", "--weights-only", "--data")
    return made


@pytest.fixture
def remote(pushed: Typist, workplace: Path) -> Folder:
    """A copy of the remote, to be spoilt."""
    shutil.copytree(pushed.root.parent / "weights", workplace / "weights")
    return Folder(workplace / "weights")


@pytest.fixture
def clone(pushed: Typist, remote: Folder, workplace: Path) -> Typist:
    """A clone without weights that uses the copy."""
    pushed.git("clone", "-q", str(pushed.root), str(workplace / "clone"))
    made = Typist(workplace / "clone", pushed.env)
    made.git("config", "bgit.weightsremote", remote.url)
    return made


def is_untouched(clone: Typist) -> bool:
    return not (clone.store / "bake").exists()


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


@pytest.mark.parametrize(
    ("spoil", "name"),
    [(flipped, WEIGHTS), (flipped, "probes.json"), (cut, WEIGHTS), (longer, "probes.json"),
     (Path.unlink, WEIGHTS)],
)  # fmt: skip
def test_a_wrong_object_is_refused_and_named(
    clone: Typist, remote: Folder, spoil: Callable[[Path], None], name: str
) -> None:
    wrong = remote.object(name, of=1)
    others = remote.object(name, of=0)
    spoil(wrong)
    done = clone("pull", "--weights-only", "--all-weights")
    assert done.code == 5
    assert f"{remote.url}/objects/{wrong.parent.name}/{wrong.name} ({name} of " in done.err
    assert is_untouched(clone)
    assert not (clone.store / "incoming" / wrong.name).exists()
    assert others.exists()
    found = json.loads(clone("fsck", "--remote", "--deep", "--json").out)
    assert [row["place"].rpartition("/")[2] for row in found["findings"]] == [wrong.name]


def test_a_push_mends_what_is_gone_or_cut(
    pushed: Typist, clone: Typist, remote: Folder, workplace: Path
) -> None:
    remote.object(of=0).unlink()
    cut(remote.object(of=1))
    remote.manifests()[0].write_text("{")
    assert clone("fsck", "--remote").code == 1
    source = copied(pushed, workplace / "mending")
    source.git("config", "bgit.weightsremote", remote.url)
    source.must("push", "--weights-only")
    assert clone("fsck", "--remote", "--deep").code == 0
    assert clone("pull", "--weights-only", "--all-weights").code == 0


def changed(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda said: {**said, **changes}


def first_file(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda said: {**said, "files": [{**said["files"][0], **changes}, *said["files"][1:]]}


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "newer": changed(schema=2),
    "other": changed(digest="0" * 64),
    "up": first_file(path="../../../hooks/post-checkout"),
    "whole": first_file(path="/tmp/x"),
    "code": first_file(path="adapter_model.bin"),
    "huge": first_file(size=1 << 43),
    "list": lambda said: [said],
    "nothing": lambda said: {},
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_manifest_that_lies_is_refused(clone: Typist, remote: Folder, how: str) -> None:
    for path in remote.manifests():
        path.write_text(json.dumps(HOSTILE[how](json.loads(path.read_text("utf-8")))))
    done = clone("pull", "--weights-only", "--all-weights")
    assert done.code == (4 if how == "huge" else 5), done.err
    assert is_untouched(clone)
    assert not (clone.root / ".git/hooks/post-checkout").exists()


def test_a_manifest_without_end_is_refused(clone: Typist, remote: Folder) -> None:
    remote.manifests()[0].write_text("[" * (3 << 20))
    done = clone("pull", "--weights-only", "--all-weights")
    assert done.code == 5
    assert "it is too large" in done.err


def test_other_weights_under_their_own_name_are_not_those_of_the_recipe(
    clone: Typist, remote: Folder
) -> None:
    one, two = remote.manifests()
    said, other = (json.loads(path.read_text("utf-8")) for path in (one, two))
    one.write_text(json.dumps({**said, "digest": other["digest"], "files": other["files"]}))
    done = clone("pull", "--weights-only", "--all-weights")
    assert done.code == 5
    assert "and recipe.yml" in done.err
    assert is_untouched(clone)


def test_what_nothing_names_goes_once_it_is_old(clone: Typist, remote: Folder) -> None:
    def spare(name: str, days: float) -> Path:
        path = remote.root / "objects" / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("spare")
        os.utime(path, (time.time() - days * 86_400,) * 2)
        return path

    for path in remote.root.rglob("*"):
        os.utime(path, (0, 0))
    old, young, left = spare("a" * 64, 15), spare("b" * 64, 13), spare(".aa.0123.tmp", 15)
    foreign = spare("notes.txt", 99)
    before = remote.files()
    told = json.loads(clone.must("gc", "--remote", "--dry-run", "--json"))
    assert {row["place"].rpartition("/")[2] for row in told["removed"]} == {old.name, left.name}
    assert remote.files() == before
    assert "1 more are not 14 days old" in clone("gc", "--remote").err
    assert [path.exists() for path in (old, young, left, foreign)] == [False, True, False, True]
    clone.must("gc", "--remote", "--grace", "1")
    assert not young.exists()
    assert clone("fsck", "--remote", "--deep").code == 0


def test_where_a_manifest_cannot_be_read_nothing_is_deleted(clone: Typist, remote: Folder) -> None:
    remote.manifests()[0].write_text("{")
    before = remote.files()
    done = clone("gc", "--remote", "--grace", "0")
    assert done.code == 5
    assert "it may name any object" in done.err
    assert remote.files() == before


def test_an_old_object_that_a_push_finds_is_made_young_again(
    pushed: Typist, remote: Folder, workplace: Path
) -> None:
    """A collection that is under way must not take what a manifest is about to name."""
    source = copied(pushed, workplace / "again")
    source.git("config", "bgit.weightsremote", remote.url)
    path = remote.object()
    os.utime(path, (0, 0))
    remote.manifests()[0].unlink()
    source.must("push", "--weights-only")
    assert path.stat().st_mtime > time.time() - 3600


def test_options_that_do_not_go_together_are_refused(clone: Typist) -> None:
    for line in ("fsck --deep", "gc --grace 3", "fsck --remote --strict", "gc --remote --paid",
                 "push --no-weights --data", "pull --no-weights --weights-only"):  # fmt: skip
        assert clone(*line.split()).code == 2, line
