"""A repository, or the tools of the checkout, for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bakery.repo.model_repo import ModelRepo
from tests.support.recorded import made


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    """A repository without a bake."""
    return made(workplace / "yoda")


@pytest.fixture(scope="module")
def tools() -> Iterator[None]:
    """Let what stands in `tools/` be imported by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "tools"))
        yield
