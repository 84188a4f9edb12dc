"""What the `bakery` door passes on of a training and of the rounds within it."""

from __future__ import annotations

from typing import Any

from bakery.distil.run import _Told
from bakery.reporting import Quiet


class Heard(Quiet):
    """A reporter that keeps how far things are."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[Any, ...]] = []

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        self.heard.append((label, done, total, detail))

    def partly(self, done: float, of: int) -> None:
        self.heard.append((done, of))


def test_answers_of_a_round_are_no_part_of_a_step() -> None:
    heard = Heard()
    told = _Told(heard, [])
    told.progress("rollout", 0, 16)
    told.partly(3, 16)
    told.progress("bake", 4, 8, "loss 1")
    told.partly(0.5, 1)
    told.progress("rollout", 0, 16)
    told.partly(3, 16)
    told.progress("rollout", 16, 16)
    told.partly(0.5, 1)
    assert heard.heard == [
        ("rollout", 0, 16, ""),
        (3, 16),
        ("bake", 4, 8, "loss 1"),
        (0.5, 1),
        ("bake", 4, 8, "rollout 0/16"),
        ("bake", 4, 8, "rollout 16/16"),
        (0.5, 1),
    ]
