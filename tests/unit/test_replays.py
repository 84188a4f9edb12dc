"""Names of a chain, read where another chain took its place."""

from __future__ import annotations

import pytest

from bakery import schema
from bakery.repo.files import block
from bakery.repo.history import replays
from bakery.repo.history.replays import Replay

OLD, NEW, OTHER = "0123456789abcdef", "fedcba9876543210", "a" * 16
IDS = {OLD: NEW, f"{OLD}/12": f"{NEW}/9"}


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (f"target: yoda_{OLD}", f"target: yoda_{NEW}"),
        (f"model_name: {OLD}", f"model_name: {NEW}"),
        (f"ann/demo/yoda_{OLD}/12", f"ann/demo/yoda_{NEW}/9"),
        (f"ann/demo/yoda_{OLD}/4", f"ann/demo/yoda_{NEW}/4"),
        (f"yoda_{OTHER}", f"yoda_{OTHER}"),
        (f"digest: {OLD}{OLD}", f"digest: {OLD}{OLD}"),
    ],
)
def test_a_name_means_what_took_its_place(text: str, meant: str) -> None:
    assert replays.renamed(text, IDS) == meant


def test_only_what_a_text_names_is_kept() -> None:
    assert replays.used(f"yoda_{OLD}/12", IDS) == IDS
    assert replays.used(f"yoda_{OLD}", IDS) == {OLD: NEW}
    assert replays.used(f"yoda_{OTHER}", {OTHER: OTHER}) == {}


def test_two_replays_are_one() -> None:
    assert replays.then({OLD: NEW}, {NEW: OTHER}) == {OLD: OTHER, NEW: OTHER}


def test_a_block_says_only_what_there_is_of_a_replay() -> None:
    assert Replay(f"yoda_{OLD}").as_data() == {"bake": f"yoda_{OLD}"}


@pytest.mark.parametrize(
    "damaged",
    [[], {}, {"bake": "yoda"}, {"bake": f"yoda_{OLD}", "ids": [1]},
     {"bake": f"yoda_{OLD}", "bases": [1]}, {"bake": f"yoda_{OLD}", "ids": {OLD: 1}}],
)  # fmt: skip
def test_a_damaged_replay_is_refused(damaged: object) -> None:
    assert block.part_problem("replayed", damaged) is not None


def test_the_name_of_the_former_base_means_the_base() -> None:
    text = """\
PROMPT: {teacher: "Speak like Yoda."}
TARGET:
  name: yoda
  model_name: tiny
  generators:
    - {type: oneshot_qs, numq: 2, model: tiny-1}
BAKE:
  name: yoda
  model: {parent_model_name: tiny-1, student_model_path: tiny-1}
"""
    spec = schema.load(text)
    here = schema.on_another_base(spec, ["tiny-1"])
    assert here.bake is not None
    assert (here.bake.model.parent_model_name, here.bake.model.student_model_path) == (None, None)
    assert here.targets[0].model_name == "base"
    assert here.targets[0].generators == spec.targets[0].generators
    assert schema.on_another_base(spec, ()) is spec
