"""A model published on a stand-in of the Hub, by the real huggingface_hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.identity import file_digest
from tests.e2e.conftest import Typist, copied
from tests.support import hub as hubs
from tests.support.hub import TOKEN, Hub
from tests.support.remotes import WEIGHTS

TO = "hf://ann/shout"
ADAPTER = {
    ".gitattributes", "README.md", "adapter_config.json", "adapter_model.safetensors", "bake.json",
    "bakery.json", "metrics.jsonl", "probes.json", "recipe.yml", "slices.json",
}  # fmt: skip


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hubs.running() as found:
        found.lfs = True
        yield found


@pytest.fixture
def source(baked_repository: Typist, workplace: Path, hub: Hub) -> Typist:
    made = copied(baked_repository, workplace / "source")
    return Typist(made.root, {**made.env, **online(hub)})


def online(hub: Hub) -> dict[str, str]:
    return {
        "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip


def test_an_adapter_is_published_in_one_commit_and_again_without_a_byte(
    source: Typist, hub: Hub
) -> None:
    done = source("publish", TO, "--yes")
    assert done.code == 0, done.err
    repo = hub.repos["ann/shout"]
    assert repo.private
    assert set(repo.files) == ADAPTER
    assert len(repo.commits) == 1
    (weights,) = source.store.glob(f"bake/{source.parent().split('_')[-1][:16]}/*/{WEIGHTS}")
    assert file_digest(weights) in hub.objects
    assert "SHOUT!" in done.out
    assert "Whisper, please." in done.out
    assert TOKEN not in done.out + done.err
    card = repo.files["README.md"].decode()
    assert 'PeftModel.from_pretrained(model, "ann/shout")' in card
    again = source("publish", TO, "--yes")
    assert again.code == 0, again.err
    assert "0 bytes sent" in again.out
    assert len(repo.commits) == 1
