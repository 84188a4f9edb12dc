"""Repositories that publish to, and adopt from, a stand-in of the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import Result

from tests.e2e.conftest import Typist, copied
from tests.support.commands import typed_here
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


def typed_on(hub: Hub, at: Typist, *words: str) -> Result:
    """Run one command in the process of the test, which asks the stand-in: that is quicker."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**at.env, **online(hub)}.items():
            patch.setenv(name, value)
        files = "{repo_id}/resolve/{revision}/{filename}"
        constants = {
            "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{files}",
        }  # fmt: skip
        for name, said in constants.items():
            patch.setattr(f"huggingface_hub.constants.{name}", said)
        patch.chdir(at.root)
        return typed_here(*words)
