"""Repositories that publish to, and adopt from, a stand-in of the Hub."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Typist, copied
from tests.support.hub import TOKEN, Hub


def online(hub: Hub) -> dict[str, str]:
    """Return what has huggingface_hub ask the stand-in."""
    return {
        "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip


def on(hub: Hub, repository: Typist, folder: Path) -> Typist:
    """Return a copy of a repository that knows the stand-in."""
    made = copied(repository, folder)
    return Typist(made.root, {**made.env, **online(hub)})
