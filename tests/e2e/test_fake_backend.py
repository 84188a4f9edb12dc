"""`bgit run --backend fake`, from questions to a bake that nobody takes for a model."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Typist, copied, input_yml

pytestmark = pytest.mark.slow  # whole bakes, one after the other

ASKED = input_yml().replace(
    "type: hardcoded", "type: oneshot_qs\n      numq: 12\n    - type: hardcoded"
)


@pytest.fixture(scope="module")
def faked(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with a bake on made-up answers; for reading and for copies."""
    made = copied(new_repository, tmp_path_factory.mktemp("faked") / "demo")
    made.commit(ASKED)
    without_bake = made("run", "stim", "rollout", "--backend", "fake")
    assert without_bake.code == 0
    assert "loading" not in without_bake.err
    made.must("run", "--backend", "fake")
    return made


def test_it_is_recorded_as_made_up(faked):
    assert "/fake_first_" in faked.parent()
    assert "\n      backend: fake\n" in faked.read("recipe.yml")
    assert "learnt made-up answers of the fake backend" in faked.must("status")
    shown = json.loads(faked.must("show", "parent", "--json"))
    assert "its answers are made up, by the fake backend" in json.dumps(shown)


def test_whoever_made_it_is_told_how_to_take_it_back(new_repository, workplace):
    typist = copied(new_repository, workplace / "demo")
    typist.commit(ASKED)
    done = typist("run", "--backend", "fake")
    name = typist.parent().split("/")[2]
    assert done.out.endswith(f"It learnt made-up answers: `bgit revert {name}` takes it back.\n")
    assert "Talk to it" not in done.out
    assert "as under the prompt" not in done.out + done.err
    assert f"next: bgit revert {name} " in typist.must("status")
    typist.must("revert", name)
    assert "next: bgit revert" not in typist.must("status")


def test_it_is_neither_downloaded_nor_pushed(faked):
    for words in (["download", "parent"], ["push", "origin", "main"]):
        done = faked(*words)
        assert done.code == 3
        assert "learnt made-up answers" in done.err


def test_what_is_baked_on_it_is_not_downloaded_either(faked, workplace):
    typist = copied(faked, workplace / "demo")
    typist.commit(input_yml(prompt="Whisper.", bake="second"))
    typist.must("run")
    assert "/second_" in typist.parent()
    assert "fake_first" in typist("download", "parent").err


def test_it_is_reproduced_as_it_was_made(faked):
    faked.must("reproduce")  # ends with 1 where anything differs


def test_it_is_made_in_the_background(faked, workplace):
    typist = copied(faked, workplace / "demo")
    typist.commit(input_yml(prompt="Sing.", bake="third"))
    typist.must("run", "--detach", "--backend", "fake")
    assert "takes it back" in typist.must("fetch", "--wait")
    assert "/fake_third_" in typist.parent()


def test_without_the_option_a_name_is_what_it_always_was(faked, typist):
    typist.commit(ASKED)
    dry = json.loads(typist.must("run", "--dry-run", "--json"))
    assert "fake" not in json.dumps(dry)
