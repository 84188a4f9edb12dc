"""A repository of the hub as a remote of weights: a stand-in, asked by the real huggingface_hub."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.identity import file_digest
from tests.e2e.conftest import Typist, copied
from tests.support import hub as hubs
from tests.support.hub import TOKEN, Hub
from tests.support.remotes import WEIGHTS

URL = "hf://ann/yoda/weights"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hubs.running() as found:
        yield found


@pytest.fixture
def source(baked_repository: Typist, workplace: Path, hub: Hub) -> Typist:
    made = copied(baked_repository, workplace / "source")
    env = {**made.env, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN}
    made = Typist(made.root, env)
    made.must("weights", "remote", URL)
    return made


def test_two_clones_share_a_repository_of_the_hub(
    source: Typist, hub: Hub, workplace: Path
) -> None:
    done = source("push", "--weights-only", "--data")
    assert done.code == 0, done.err
    assert len(hub.commits) == 2
    assert sum(path.startswith("weights/models/") for path in hub.files) == 2
    before = dict(hub.files)
    assert "0 bytes sent" in source.must("push", "--weights-only", "--data")
    assert hub.files == before
    assert len(hub.commits) == 2
    source.git("clone", "-q", str(source.root), str(workplace / "clone"))
    clone = Typist(workplace / "clone", source.env)
    clone.must("weights", "remote", URL)
    assert clone("chat", "-m", "Who?").code == 0
    clone.must("pull", "--weights-only", "--all-weights", "--data")
    paths = [sorted(one.store.glob(f"bake/*/*/{WEIGHTS}")) for one in (source, clone)]
    ours, theirs = ([file_digest(path) for path in some] for some in paths)
    assert ours == theirs
    assert json.loads(clone.must("fsck", "--remote", "--deep", "--json"))["is_sound"]
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in done.out + done.err


def test_a_flipped_byte_on_the_hub_is_refused_and_named(
    source: Typist, hub: Hub, workplace: Path
) -> None:
    source.must("push", "--weights-only")
    source.git("clone", "-q", str(source.root), str(workplace / "clone"))
    clone = Typist(workplace / "clone", source.env)
    clone.must("weights", "remote", URL)
    path = max(hub.files, key=lambda name: len(hub.files[name]))
    hub.files[path] = hub.files[path][:-1] + bytes([hub.files[path][-1] ^ 1])
    done = clone("pull", "--weights-only", "--all-weights")
    assert done.code == 5
    assert f"hf://ann/yoda/{path}" in done.err
    assert not (clone.store / "bake").exists()


def test_what_nothing_names_leaves_the_hub(source: Typist, hub: Hub) -> None:
    source.must("push", "--weights-only")
    before = dict(hub.files)
    hub.files[f"weights/objects/aa/{'a' * 64}"] = b"spare"
    assert "1 more are not 14 days old" in source("gc", "--remote").err
    source.must("gc", "--remote", "--grace", "0")
    assert hub.files == before


def test_a_repository_that_is_not_there_is_told(source: Typist) -> None:
    source.must("weights", "remote", "hf://ann/other")
    done = source("push", "--weights-only")
    assert done.code == 3
    assert "the remote of weights hf://ann/other cannot be" in done.err
    assert TOKEN not in done.err
