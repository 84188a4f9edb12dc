"""A random model for every test of the engine, on one thread."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support import served as serving
from tests.support.baking import Bench
from tests.support.models import random_model

torch.set_num_threads(1)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """An empty store and a random model in a folder of its own."""
    return Bench(tmp_path / "store", random_model(tmp_path / "model"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The folder of a random model."""
    return random_model(tmp_path / "model")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> serving.World:
    """A random model and adapters of it that disagree."""
    return serving.world(tmp_path_factory.mktemp("served"))
