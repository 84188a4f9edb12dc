"""A scaled copy of an adapter computes what the adapter does at that strength."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.engine.models import scaled
from bakery.engine.models.adapter_check import check_any
from bakery.engine.models.adapter_head import read
from bakery.engine.sampling.sampling import SampleRequest
from bakery.identity import SamplingSettings
from tests.support.disagreeing import Alone
from tests.support.served import World

HOW = SamplingSettings(1, 10)
ASKED = SampleRequest("one", (9, 30, 77, 120, 5))


@pytest.mark.parametrize(
    ("strength", "rank", "like"),
    [(0.5, 5, ("second", 0.5)), (-2.0, 5, ("second", -2.0)), (0.0, 3, ("first", 1.0))],
)
def test_it_says_what_the_adapter_says_at_that_strength(
    served: World, tmp_path: Path, strength, rank, like
):
    scaled.write(served.folders["second"], tmp_path / "out", [1.0] * 3 + [strength] * 2, base="b")
    check_any(tmp_path / "out")
    assert read(tmp_path / "out/adapter_model.safetensors").rank == rank
    due = served.alone(like, ASKED, HOW)
    assert Alone(served.base(), tmp_path / "out").says(ASKED, HOW).ids == due.ids
    assert due.ids != served.alone(("second", 1.0), ASKED, HOW).ids


def test_slices_apart_are_parts_of_it(served: World, tmp_path: Path):
    scaled.write(served.folders["second"], tmp_path / "own", [0, 0, 0, 1, 1], base="b")
    assert read(tmp_path / "own/adapter_model.safetensors").rank == 2
