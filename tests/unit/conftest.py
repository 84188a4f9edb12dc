"""A repository for every test that asks for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.repo.model_repo import ModelRepo
from tests.support.recorded import made


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    """A repository without a bake."""
    return made(workplace / "yoda")
