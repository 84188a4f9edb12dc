"""bgit chat, typed as a user types it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Typist, bgit, copied


@pytest.fixture(scope="module")
def talker(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes; a chat changes nothing in it."""
    return copied(baked_repository, tmp_path_factory.mktemp("talker") / "demo")


def rows(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_piped_line_gets_an_answer_of_one_line(talker: Typist) -> None:
    lines = f"Who are you?\n\n/clear\nWho are you?\n{'And what is this? ' * 12}\n"
    done = talker("chat", "second", stdin=lines)
    answer, again = done.out.split("\n")[:-1]
    assert answer == again
    assert "\x1b" not in done.out + done.err
    assert done.code == 2
    assert re.search(r"error: the conversation takes \d+ tokens and the answer at", done.err)
    assert "hint: `/clear` forgets what was said so far, " in done.err


def test_a_system_prompt_may_come_with_the_command(talker: Typist) -> None:
    lines = "Who?\n/status\n/quit\nnever asked\n"
    done = talker("chat", "base", "--system", "Be brief.", "--max-tokens", "9", stdin=lines)
    assert (done.code, done.out.count("\n")) == (0, 1)
    base = talker.must("tree").splitlines()[0]
    assert f"note: loading {base}\n" in done.err
    assert f"model     {base}\n" in done.err
    assert "system    Be brief.\n" in done.err


def test_a_system_prompt_may_lie_in_a_file(talker: Typist, tmp_path: Path) -> None:
    (tmp_path / "pirate.txt").write_text("You are\na pirate.\n", encoding="utf-8")
    told = f"@{tmp_path / 'pirate.txt'}"
    done = talker("chat", "base", "--system", told, stdin="/status\n")
    assert "system    You are a pirate.\n" in done.err
    missing = talker("chat", "base", "--system", "@nowhere.txt", stdin="Who?\n")
    assert (missing.code, missing.out) == (2, "")
    assert "nowhere.txt cannot be read: No such file" in missing.err


def test_chat_without_a_name_is_with_the_current_model(talker: Typist) -> None:
    done = talker("chat", stdin="/status\n")
    assert done.code == 0
    assert done.err.startswith(f"note: loading {talker.parent()}\nmodel     {talker.parent()}\n")


def test_an_unknown_model_is_refused_before_anything_is_loaded(talker: Typist) -> None:
    done = talker("chat", "secnd", stdin="Who?\n")
    assert done.code == 3
    assert re.match(r"error: there is no model 'secnd'\nhint: There is:\n  ann/demo/", done.err)
    assert "loading" not in done.err


def test_a_comparison_has_the_base_the_prompted_parent_and_the_bake(talker: Typist) -> None:
    words = ["chat", "second", "--compare", "--json", "--max-tokens", "8"]
    (row,) = rows(talker("chat", *words[1:], stdin="Who are you?\n").out)
    base = talker.must("tree").splitlines()[0]
    first = talker("chat", "first", stdin="/status\n").err.split()[2]
    assert row.pop("question") == "Who are you?"
    assert {side: answer["model"] for side, answer in row.items()} == {  # type: ignore[index]
        "base": base,
        "prompted": first,
        "baked": talker.parent(),
    }
    alone = rows(
        talker("chat", "--json", "--max-tokens", "8", "-m", "Who are you?", "--system", "").out
    )
    assert row["baked"]["answer"] == alone[0]["answer"]  # type: ignore[index]
    system = ["--system", "Whisper, please.", "--json", "--max-tokens", "8", "-m", "Who are you?"]
    (prompted,) = rows(talker("chat", "first", *system).out)
    assert row["prompted"]["answer"] == prompted["answer"]  # type: ignore[index]


def test_a_base_has_nothing_to_be_compared_with(talker: Typist) -> None:
    done = talker("chat", "base", "--compare", stdin="Who?\n")
    assert done.code == 2
    assert "was not baked here, so there is no prompt to compare it with" in done.err


def test_a_strength_of_nought_is_the_parent(talker: Typist) -> None:
    words = ["--max-tokens", "8", "-m", "Who are you?", "--json"]
    nought, whole = (
        rows(talker("chat", "first", "--strength", at, *words).out)[0] for at in ("0", "1")
    )
    (parent,) = rows(talker("chat", "base", *words).out)
    (plain,) = rows(talker("chat", "first", *words).out)
    assert nought["answer"] == parent["answer"]
    assert whole["answer"] == plain["answer"]


def test_json_says_how_an_answer_ended(talker: Typist) -> None:
    done = talker("chat", "--json", "--max-tokens", "4", "--each", stdin="One?\nTwo?\n")
    assert [row["question"] for row in rows(done.out)] == ["One?", "Two?"]
    assert {row["tokens"] for row in rows(done.out)} <= {1, 2, 3, 4}
    assert all((row["finish"] == "length") == (row["tokens"] == 4) for row in rows(done.out))


def test_an_adapter_that_no_repository_knows_is_talked_to_by_its_folder(
    talker: Typist, tmp_path: Path
) -> None:
    (folder,) = talker.store.glob(f"bake/*{talker.parent().split('/')[2][-16:]}/[0-9]*")
    words = ["--max-tokens", "8", "-m", "Who are you?"]
    outside = bgit("chat", str(folder), *words, cwd=tmp_path, **talker.env)
    assert outside.code == 0, outside.err
    assert outside.out == talker("chat", *words).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["base", "--strength", "0.5"], "carries no bake, so there is no strength"),
        (["base", "--no-thinking"], "has no switch for thinking"),
        (["base", "--base-model", "tiny"], "--base-model says nothing about it"),
        (["second", "--target", "main_target"], "it needs --compare"),
        (["second", "--compare", "--target", "other"], "has no target 'other'"),
    ],
)
def test_what_makes_no_sense_is_refused(talker: Typist, words: list[str], said: str) -> None:
    done = talker("chat", *words, stdin="Who?\n")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
