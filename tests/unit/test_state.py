""".bread: one line moves, the rest stays."""

from __future__ import annotations

import pytest

from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.files import state
from bakery.repo.files.state import State

MODEL = ModelRef("ann", "yoda", "bake_" + "0" * 16, 120)
HERE = State("ann", "yoda", BaseModelId("Qwen/Qwen3-0.6B", "abc%def", "ab" * 32))
TEXT = state.new(HERE)
DEFAULTS = TEXT.replace(f"defaults = {HERE.defaults}", "defaults = {}")


def test_what_is_written_is_read():
    assert state.parse(TEXT) == HERE


def test_a_parent_is_one_changed_line():
    changed = state.with_parent(TEXT, MODEL)
    assert state.parse(changed).parent == MODEL
    assert changed == TEXT.replace("PARENT_MODEL =", f"PARENT_MODEL = {MODEL}")
    assert state.with_parent(changed, None) == TEXT


def test_comments_of_the_user_stay():
    assert "# mine" in state.with_parent(TEXT + "# mine\n", MODEL)


def test_windows_line_ends_read_the_same():
    assert state.parse(TEXT.replace("\n", "\r\n")) == HERE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<<<<<<< HEAD\n" + TEXT, "a merge conflict is not resolved"),
        (TEXT.replace("schema = 1", "schema = 2"), "schema 2; this bgit reads up to 1"),
        (TEXT.replace("schema = 1", "schema = new"), "is not a number"),
        (TEXT.replace("[REPO]", "REPO"), "cannot be read"),
        (TEXT.replace("owner = ann", ""), "owner is missing"),
        (TEXT.replace("PARENT_MODEL =", "PARENT_MODEL = yoda"), "'yoda' is not a model name"),
        (TEXT.replace("owner = ann", "owner ="), "cannot be part of a model's name"),
        (TEXT.replace("owner = ann", "owner = a/../b"), "cannot be part of a model's name"),
        ("", "REPO is missing"),
        (DEFAULTS.format(0), r"\.bread: there are no defaults of version 0, only 1 to 3"),
        (DEFAULTS.format(99), r"\.bread: there are no defaults of version 99, only 1 to 3"),
        (DEFAULTS.format("two"), "is not a number"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(text, says):
    with pytest.raises(RepoError, match=says) as caught:
        state.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize("behind", ["", "\n", "  \n\n", "\n# mine\n", "\n\n[MINE]\nkey = value\n"])
def test_the_parent_is_read_whatever_stands_behind_it(behind):
    text = TEXT.rstrip("\n") + f" {MODEL}{behind}"
    assert state.parse(text) == state.parse(text.replace("\n\n[STATE]", "\n\n\n[STATE]"))
    assert state.parse(text).parent == MODEL


def test_many_branches_are_told_apart_where_one_cannot_be_read():
    assert state.parse(TEXT, "main:.bread") == HERE
    for source in ("one:.bread", "two:.bread"):
        with pytest.raises(RepoError, match=f"{source} cannot be read: owner is missing"):
            state.parse(TEXT.replace("owner = ann", ""), source)


def test_a_missing_parent_line_is_refused():
    with pytest.raises(RepoError, match="0 lines `PARENT_MODEL"):
        state.with_parent(TEXT.replace("PARENT_MODEL", "PARENT"), MODEL)
