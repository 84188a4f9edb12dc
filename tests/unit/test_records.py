"""Rows on disk survive a killed writer, and a bad one is named."""

from __future__ import annotations

import json

import pytest

from bakery import records
from bakery.errors import ConfigError, StageError
from bakery.records import ModelRef, Prompt, Stimulus, Trajectory

ONE = Stimulus("a1", ({"role": "user", "content": "Who are you?"},), "hardcoded", "author")
TWO = Stimulus("b2", ({"role": "user", "content": "Wo bist du, Müller?"},), "hardcoded", "author")


def test_rows_come_back_as_they_were_written(tmp_path):
    path = tmp_path / "rows.jsonl"
    records.append_rows(path, [ONE])
    records.append_rows(path, [TWO])
    assert records.read_rows(path, Stimulus) == [ONE, TWO]


def test_token_ids_come_back_as_a_tuple(tmp_path):
    row = Trajectory("a1", 0, (5, 6, 2), "Hm.", "stop", "tiny-1")
    records.append_rows(tmp_path / "rows.jsonl", [row])
    assert records.read_rows(tmp_path / "rows.jsonl", Trajectory) == [row]


def test_a_file_that_is_not_there_has_no_rows(tmp_path):
    assert records.read_rows(tmp_path / "rows.jsonl", Stimulus) == []


def test_writing_nothing_makes_no_file(tmp_path):
    records.append_rows(tmp_path / "rows.jsonl", [])
    assert not (tmp_path / "rows.jsonl").exists()


@pytest.mark.parametrize("torn", [b'{"id": "b2", "mess', b'{"id": "caf\xc3', b"{}"])
def test_a_torn_last_line_does_not_count(tmp_path, torn):
    path = tmp_path / "rows.jsonl"
    records.append_rows(path, [ONE])
    path.write_bytes(path.read_bytes() + torn)
    assert records.read_rows(path, Stimulus) == [ONE]


def test_a_torn_last_line_is_cut_before_the_next_row_is_appended(tmp_path):
    path = tmp_path / "rows.jsonl"
    records.append_rows(path, [ONE])
    path.write_bytes(path.read_bytes() + b'{"id": "b2", "mess')
    records.append_rows(path, [TWO])
    assert records.read_rows(path, Stimulus) == [ONE, TWO]


def test_a_file_of_one_torn_line_starts_again(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "b2", "mess')
    records.append_rows(path, [TWO])
    assert records.read_rows(path, Stimulus) == [TWO]


def test_a_line_separator_inside_a_text_does_not_split_a_row(tmp_path):
    row = Stimulus("c3", ({"role": "user", "content": "one\u2028two\x85three"},), "hardcoded", "a")
    records.append_rows(tmp_path / "rows.jsonl", [row])
    assert records.read_rows(tmp_path / "rows.jsonl", Stimulus) == [row]


@pytest.mark.parametrize(
    "line",
    [b"not json", b"\0\0\0", b'{"id": "\xff"}', b"[" * 100_000, b'{"id": ' + b"9" * 5000 + b"}"],
    ids=lambda line: line[:12],
)
def test_a_bad_line_in_the_middle_is_named(tmp_path, line):
    path = tmp_path / "rows.jsonl"
    records.append_rows(path, [ONE])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(StageError, match=r"rows\.jsonl:2 is damaged: it "):
        records.read_rows(path, Stimulus)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            '{"id": "a1"}',
            r":1 is not a row of this kind of file: it has no `messages`, `generator`",
        ),
        ("[1]", r":1 is not a row: a row is a JSON object"),
    ],
)
def test_a_row_of_another_file_is_refused_with_what_it_lacks(tmp_path, line, message):
    (tmp_path / "rows.jsonl").write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(StageError, match=message) as caught:
        records.read_rows(tmp_path / "rows.jsonl", Stimulus)
    assert caught.value.hint is not None
    assert "the file you meant" in caught.value.hint


def test_a_field_that_this_version_does_not_know_is_passed_over(tmp_path):
    records.append_rows(tmp_path / "rows.jsonl", [ONE])
    data = json.loads((tmp_path / "rows.jsonl").read_text(encoding="utf-8"))
    text = json.dumps(data | {"born": "later"}) + "\n"
    (tmp_path / "rows.jsonl").write_text(text, encoding="utf-8")
    assert records.read_rows(tmp_path / "rows.jsonl", Stimulus) == [ONE]


def test_a_whole_file_is_replaced_and_leaves_no_draft(tmp_path):
    path = tmp_path / "new" / "done.json"
    records.write_atomic(path, "old\n")
    records.write_atomic(path, "new\n")
    assert path.read_bytes() == b"new\n"
    assert [p.name for p in path.parent.iterdir()] == ["done.json"]


def test_a_model_name_is_read_and_written_alike():
    text = "ada/yoda/yoda_bake_0123456789abcdef/120"
    ref = ModelRef.parse(text)
    assert (ref.owner, ref.repo, ref.step) == ("ada", "yoda", 120)
    assert ref.bake_id == "0123456789abcdef"
    assert str(ref) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yoda",
        "ada/yoda/bake/1",
        "ada/yoda/b_0123456789abcdef",
        "a/b/c_0123456789ABCDEF/1",
        f"a/b/c_0123456789abcdef/{'9' * 5000}",
    ],
)
def test_other_text_is_no_model_name(text):
    with pytest.raises(ConfigError, match="is not a model name"):
        ModelRef.parse(text)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt(({"role": "system", "content": "You are Yoda."},)),
        Prompt(({"role": "system", "content": "x"},), ({"type": "function"},)),
    ],
)
def test_a_prompt_comes_back_from_its_data(prompt):
    assert Prompt.from_data(json.loads(json.dumps(prompt.as_data()))) == prompt


def test_the_question_is_the_last_thing_the_user_says():
    messages = [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "hm"},
        {"role": "user", "content": "second"},
    ]
    assert records.user_text(messages) == "second"
    assert records.user_text([]) == ""
