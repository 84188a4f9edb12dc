"""bgit chat, typed as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Typist, bgit, copied


@pytest.fixture(scope="module")
def talker(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes; a chat changes nothing in it."""
    return copied(baked_repository, tmp_path_factory.mktemp("talker") / "demo")


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


QUESTION = ["--max-tokens", "8", "--json", "-m", "Who are you?"]


@pytest.fixture(scope="module")
def alone(talker: Typist) -> dict[str, Any]:
    """What the current model answers, asked on its own."""
    (row,) = rows(talker.must("chat", *QUESTION))
    return row


def test_a_piped_line_gets_an_answer_of_one_line(talker: Typist) -> None:
    lines = f"Who are you?\n\n/clear\nWho are you?\n{'And what is this? ' * 12}\n"
    done = talker("chat", "second", stdin=lines)
    answer, again = done.out.split("\n")[:-1]
    assert answer == again
    assert "\x1b" not in done.out + done.err
    assert done.code == 2
    assert re.search(r"error: the conversation takes \d+ tokens and the answer at", done.err)
    assert "hint: `/clear` forgets what was said so far, " in done.err


@pytest.mark.slow
def test_a_system_prompt_may_lie_in_a_file(talker: Typist, tmp_path: Path) -> None:
    (tmp_path / "pirate.txt").write_text("You are\na pirate.\n", encoding="utf-8")
    told = f"@{tmp_path / 'pirate.txt'}"
    lines = "Who?\n/status\n/quit\nnever asked\n"
    done = talker("chat", "base", "--system", told, "--max-tokens", "9", stdin=lines)
    assert (done.code, done.out.count("\n")) == (0, 1)
    base = talker.must("tree").splitlines()[0]
    assert f"note: loading {base}\n" in done.err
    assert f"model     {base}\n" in done.err
    assert "system    You are a pirate.\n" in done.err


def test_a_system_prompt_that_cannot_be_read_is_an_error(talker: Typist) -> None:
    missing = talker("chat", "base", "--system", "@nowhere.txt", stdin="Who?\n")
    assert (missing.code, missing.out) == (2, "")
    assert "@nowhere.txt: no such file" in missing.err


def test_json_says_who_answered_and_how_the_answer_ended(
    talker: Typist, alone: dict[str, Any]
) -> None:
    assert list(alone) == ["schema", "question", "answer", "model", "finish", "tokens"]
    assert (alone["question"], alone["model"]) == ("Who are you?", talker.parent())
    assert 1 <= alone["tokens"] <= 8
    assert alone["finish"] in ("stop", "length")


def test_an_unknown_model_is_refused_before_anything_is_loaded(talker: Typist) -> None:
    done = talker("chat", "secnd", stdin="Who?\n")
    assert done.code == 3
    assert re.match(r"error: there is no model 'secnd'\nhint: There are:\n  ann/demo/", done.err)
    assert "loading" not in done.err


def test_a_comparison_has_the_base_the_prompted_parent_and_the_bake(
    talker: Typist, alone: dict[str, Any]
) -> None:
    (row,) = rows(talker.must("chat", "second", "--compare", *QUESTION))
    assert (row.pop("schema"), row.pop("question")) == (1, "Who are you?")
    base, chain = talker.must("tree").splitlines()[0], rows_of_models(talker)
    assert {side: answer["model"] for side, answer in row.items()} == {
        "base": base,
        "prompted": chain[-2],
        "baked": chain[-1],
    }
    assert row["baked"]["answer"] == alone["answer"]


def test_every_line_of_a_pipe_may_stand_for_itself_at_any_strength(talker: Typist) -> None:
    words = ["--strength", "0.5", "--strength-all", "--each", "--json", "--max-tokens", "8"]
    done = talker("chat", "second", *words, stdin="Who?\nWho?\n/strength 0\nWho?\n/status\n")
    assert done.code == 0
    first, again, _ = rows(done.out)
    assert first == again
    assert "The strength of the bake is 0.\n" in done.err
    assert f"{talker.parent()}, strength 0\n" in done.err


def test_an_adapter_that_no_repository_knows_is_talked_to_by_its_folder(
    talker: Typist, alone: dict[str, Any], tmp_path: Path
) -> None:
    (folder,) = talker.store.glob(f"bake/*{talker.parent().split('/')[2][-16:]}/[0-9]*")
    outside = bgit("chat", str(folder), *QUESTION, cwd=tmp_path, **talker.env)
    assert outside.code == 0, outside.err
    assert rows(outside.out) == [alone | {"model": str(folder)}]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["base", "--strength", "0.5"], "carries no bake, so there is no strength"),
        (["base", "--base-model", "tiny"], "--base-model does not apply"),
        (["base", "--compare"], "was not baked here, so there is no prompt to compare it with"),
        (["second", "--target", "main_target"], "it needs --compare"),
        (["second", "--compare", "--target", "other"], "has no target 'other'"),
    ],
)
def test_what_makes_no_sense_is_refused(talker: Typist, words: list[str], said: str) -> None:
    done = talker("chat", *words, stdin="Who?\n")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "loading" not in done.err


def rows_of_models(talker: Typist) -> list[str]:
    """Return the names of the bakes, oldest first."""
    listed = json.loads(talker.must("models", "--json"))
    return [entry["model"] for entry in listed if not entry.get("is_base")]
