"""A repository with branches, each with bakes of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bakery.repo.model_repo import ModelRepo
from tests.support.collecting import (
    BRANCHES,
)
from tools import made_store
from tools.made_store import Baked


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Baked]]:
    root = tmp_path_factory.mktemp("gc") / "demo"
    return root, made_store.build(root, BRANCHES)


@pytest.fixture
def demo(made: tuple[Path, dict[str, Baked]], workplace: Path) -> ModelRepo:
    """A repository with branches; what is on `deleted` alone nothing needs, but for its branch."""
    shutil.copytree(made[0], workplace / "demo")
    return ModelRepo.find(workplace / "demo")


@pytest.fixture
def bakes(made: tuple[Path, dict[str, Baked]]) -> dict[str, Baked]:
    return made[1]
