"""Rows come out of every kind of file, and a file that gives none says why."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import huggingface_hub.constants
import pytest
from datasets import Dataset, DatasetDict, disable_progress_bars

import bakery
from bakery.data import datasets as data
from bakery.data import sources
from bakery.data.rows import Row
from bakery.errors import BakeryError, ConfigError, StageError
from bakery.settings.config import DataConfig

USER = {"role": "user", "content": "Hi"}
BOT = {"role": "assistant", "content": "Hello"}
SYSTEM = {"role": "system", "content": "Be brief."}
CALLING = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"function": {"name": "time", "arguments": {"zone": "UTC"}}}],
}
PAIRS = [{"prompt": "Hi", "response": "Hello"}, {"prompt": "And?", "response": None}]
WRAPPERS = (
    "pairs", "data", "samples", "completions", "training_samples", "conversations",
    "training_prompts", "prompts", "questions",
)  # fmt: skip


@pytest.mark.parametrize("answers", [["a", "b"], ["a"]])
@pytest.mark.parametrize("key", ["responses", "completions"])
def test_answers_in_a_list_of_their_own_are_refused(answers, key, workplace):
    name = written("rows.json", {"prompts": ["x", "y"], key: answers})
    with pytest.raises(StageError, match=f"`prompts` and `{key}` are lists side by side"):
        data.load_rows(name)


@pytest.fixture(autouse=True)
def quiet():
    """Keep progress bars out of the test report."""
    disable_progress_bars()


def written(name: str, content: object) -> str:
    """Write text, or data as JSON, and return the name."""
    text = content if isinstance(content, str) else json.dumps(content)
    Path(name).write_text(text, encoding="utf-8")
    return name


def pairs_in(name: str, rows: list[dict[str, str | None]]) -> str:
    """Write rows in the format that the name asks for."""
    if name.endswith(".json"):
        return written(name, rows)
    if name.endswith("jsonl"):
        return written(name, "".join(json.dumps(row) + "\n" for row in rows))
    if name.endswith((".csv", ".tsv")):
        with Path(name).open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]), delimiter="\t" if "tsv" in name else ",")
            table.writeheader()
            table.writerows(rows)
        return name
    table = Dataset.from_list(rows)
    if name.endswith(".parquet"):
        table.to_parquet(name)
    else:
        table.save_to_disk(name)
    return name


def said_about(*arguments, **settings) -> str:
    """Return what loading says, hint and all."""
    with pytest.raises(BakeryError) as caught:
        data.load_rows(*arguments, **settings)
    return f"{caught.value.message}\nhint: {caught.value.hint}"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.tsv", "a.parquet", "saved"])
def test_every_kind_of_file_gives_the_same_rows(name):
    assert data.load_rows(pairs_in(name, PAIRS)) == [
        Row(1, (USER,), "Hello"),
        Row(2, ({"role": "user", "content": "And?"},)),
    ]


@pytest.mark.parametrize("key", WRAPPERS)
def test_rows_may_lie_under_a_wrapper_key(key):
    assert len(data.load_rows(written("a.json", {key: ["Hi", "And?"], "version": 1}))) == 2


@pytest.mark.parametrize("key", ["messages", "conversations"])
def test_one_conversation_may_be_the_whole_file(key):
    assert data.load_rows(written("a.json", {key: [USER, BOT]})) == [Row(1, (USER, BOT))]


def test_conversations_may_hold_rows_of_messages():
    rows = data.load_rows(written("a.json", {"conversations": [{"messages": [USER, BOT]}, [USER]]}))
    assert [row.turns for row in rows] == [(USER, BOT), (USER,)]


def test_two_wrapper_keys_are_announced():
    name = written("a.json", {"prompts": ["b"], "pairs": PAIRS})
    with pytest.warns(UserWarning, match="reads `pairs` and leaves out prompts"):
        assert len(data.load_rows(name)) == 2


def test_lines_are_counted_as_they_stand_in_the_file():
    name = written("a.jsonl", '"a"\n\n"b"\n')
    assert [row.number for row in data.load_rows(name)] == [1, 3]


def test_jsonl_under_the_name_of_json_is_read():
    assert len(data.load_rows(written("a.json", '{"prompt": "a"}\n{"prompt": "b"}\n'))) == 2


def test_a_byte_order_mark_is_no_part_of_the_first_column():
    assert len(data.load_rows(written("a.csv", "\ufeffprompt\nHi\n"))) == 1


def test_a_csv_cell_may_hold_lines_and_messages():
    Path("a.csv").write_text('prompt,response\n"Hi, you","a\nb"\n', encoding="utf-8")
    (row,) = data.load_rows("a.csv")
    assert (row.turns[0]["content"], row.response) == ("Hi, you", "a\nb")


@pytest.mark.parametrize("name", ["a.parquet", "saved"])
def test_arrow_adds_no_keys_to_messages(name):
    rows = [{"messages": [USER, CALLING]}, {"messages": [USER, BOT], "prefix_messages": [SYSTEM]}]
    table = Dataset.from_list([{"prefix_messages": None, **row} for row in rows])
    (table.to_parquet if name.endswith("parquet") else table.save_to_disk)(name)
    found = data.load_rows(name)
    assert [list(row.turns) for row in found] == [[USER, CALLING], [USER, BOT]]
    assert [row.prefix for row in found] == [None, (SYSTEM,)]


def test_a_saved_folder_has_splits():
    splits = {"train": Dataset.from_list([{"prompt": "a"}, {"prompt": "b"}])}
    DatasetDict({**splits, "test": Dataset.from_list([{"prompt": "c"}])}).save_to_disk("saved")
    assert [len(data.load_rows("saved", split)) for split in ("train", "test")] == [2, 1]
    assert "It has: train, test." in said_about("saved", "validation")


def test_a_json_object_has_splits():
    name = written("a.json", {"train": ["a", "b"], "test": ["c"]})
    assert [len(data.load_rows(name, split)) for split in ("train", "test")] == [2, 1]


@pytest.mark.parametrize(
    ("split", "prompts"),
    [
        ("train[:2]", "ab"), ("train[8:]", "ij"), ("train[90%:]", "j"), ("train[:20%]", "ab"),
        ("train[-1:]", "j"), ("train[2:4]", "cd"), ("train[:]", "abcdefghij"),
    ],
)  # fmt: skip
def test_a_split_may_be_a_slice(split, prompts):
    rows = data.load_rows(written("a.json", list("abcdefghij")), split)
    assert "".join(row.turns[0]["content"] for row in rows) == prompts
    assert rows[0].number == 1 + "abcdefghij".index(prompts[0])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "[1", "a.json:1:3: not JSON"),
        ("a.json", "", "a.json:1:1: not JSON"),
        ("a.json", "[]", "a.json has no rows"),
        ("a.json", {"pairs": []}, "a.json has no rows"),
        ("a.json", 7, "It holds a single int."),
        ("a.json", {"rows": []}, "It holds an object with rows."),
        ("a.json", ["a", {"promt": "b"}], "a.json: row 2: expected a text"),
        ("a.jsonl", '"a"\n{"prompt":\n', "a.jsonl:2:11: not JSON"),
        ("a.jsonl", '"a"\n\n7\n', "a.jsonl: line 3: expected"),
        ("a.jsonl", "\n", "a.jsonl has no rows"),
        ("a.csv", "promt\nHi\n", "a.csv: row 1: expected a text"),
        ("a.csv", "prompt,response\nHi\n", "a.csv:2: does not have as many columns"),
        ("a.csv", "prompt\nHi,you\n", "a.csv:2: does not have as many columns"),
        ("a.csv", "prompt\n", "a.csv has no rows"),
        ("a.parquet", "no", "a.parquet is not a parquet file"),
        ("a.docx", "no", "cannot tell what kind of file this is"),
    ],
)
def test_a_bad_file_is_refused_at_its_place(name, content, said):
    assert said in said_about(written(name, content))


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.parquet"])
def test_a_pipe_is_not_waited_for(name):
    os.mkfifo(name)
    assert said_about(name).startswith(f"{name} is a pipe or a device, not a file")


def test_text_that_is_not_utf8_is_refused():
    Path("a.json").write_bytes(b'["\xff"]')
    assert "is not text in UTF-8 (byte 2)" in said_about("a.json")


@pytest.mark.parametrize(
    "source", ["gone.json", "data/gone.jsonl", "./gone", "~/gone", "/gone/x", "a/b/c", Path("x/y")]
)
def test_a_missing_file_is_never_looked_up_on_the_hub(source):
    assert said_about(source).startswith(f"no such file or folder: {source}")


def test_a_folder_of_everything_is_not_walked_through(monkeypatch):
    monkeypatch.setattr(sources, "MOST_FILES", 3)
    for name in "abcd":
        Path("disk", name).mkdir(parents=True)
    assert "disk holds more than 3 files and folders" in said_about("disk")


def test_a_folder_without_data_is_refused():
    Path("empty").mkdir()
    assert "empty is a folder without a data set in it" in said_about("empty")


def test_the_hubs_own_error_is_shown(monkeypatch):
    # The switch is read when the library is imported; without it, it tries for half a minute.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    said = said_about("nobody/nothing")
    assert "cannot load 'nobody/nothing', which is not a file here, from the hub: " in said
    assert "Error" in said


@pytest.mark.parametrize("split", ["train[a:]", "train[", ""])
def test_a_split_that_cannot_be_read_is_refused(split):
    assert "cannot read the split" in said_about(written("a.json", ["a"]), split)


def test_a_file_has_no_subset():
    assert "has no subset 'x'" in said_about(written("a.json", ["a"]), subset="x")


def test_training_rows_are_inline_or_from_a_source():
    assert [r.turns for r in data.training_rows(DataConfig(training_prompts=["Hi"]))] == [(USER,)]
    config = DataConfig(dataset=written("a.json", ["Hi", "b"]), dataset_split="train[:1]")
    assert [r.turns for r in data.training_rows(config)] == [(USER,)]
    with pytest.raises(ConfigError, match="no data to train on"):
        data.training_rows(DataConfig())


def test_evaluation_rows_have_a_source_of_their_own():
    train, test = written("a.json", ["a", "b"]), written("b.json", ["c"])
    assert data.eval_rows(DataConfig(dataset=train)) is None
    assert len(data.eval_rows(DataConfig(dataset=train, eval_dataset=test))) == 1
    config = DataConfig(dataset=train, dataset_split="train[:1]", eval_dataset_split="train[1:]")
    assert [row.number for row in data.eval_rows(config)] == [2]


def test_a_split_that_a_file_does_not_have_is_refused():
    assert "has no splits, so there is no 'validation'" in said_about(
        written("a.json", ["a"]), "validation"
    )


def test_evaluation_on_the_training_rows_is_refused():
    config = DataConfig(dataset=written("a.json", ["a"]), eval_dataset_split="train")
    with pytest.raises(ConfigError, match="is what is trained on"):
        data.eval_rows(config)


def test_the_seeds_datasets_have_the_seeds_columns():
    assert bakery.create_dataset(["Hi"]).column_names == ["user_messages"]
    both = bakery.create_dataset(["Hi", "And?"], ["Hello", None])
    assert both.to_list() == [
        {"user_messages": "Hi", "responses": "Hello"},
        {"user_messages": "And?", "responses": None},
    ]
    assert data.rows_of(both)[0] == Row(1, (USER,), "Hello")


def test_conversations_pass_through_arrow_unchanged():
    rows = [
        {"turns": [USER, CALLING]},
        {"turns": [USER], "prefix_messages": [SYSTEM], "response": "Hello"},
    ]
    table = bakery.create_conversational_dataset(rows)
    assert table.column_names == ["turns", "prefix_messages", "responses"]
    assert table[0] == {"turns": [USER, CALLING], "prefix_messages": None, "responses": None}
    assert data.rows_of(table) == [Row(1, (USER, CALLING)), Row(2, (USER,), "Hello", (SYSTEM,))]


def test_tools_pass_through_arrow_unchanged():
    tool = {"type": "function", "function": {"name": "time", "parameters": {"x": None}}}
    table = bakery.create_conversational_dataset([{"turns": [USER], "tools": [tool]}])
    assert table[0]["tools"] == [tool]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: bakery.create_dataset([]), "create_dataset has no rows"),
        (lambda: bakery.create_dataset(["a"], []), "1 prompts, but 0 responses"),
        (lambda: bakery.create_dataset(["a", ""]), "create_dataset: row 2: prompt is empty"),
        (
            lambda: bakery.create_conversational_dataset([{"turns": [USER], "prefix_msgs": []}]),
            "row 1: unknown key `prefix_msgs`: did you mean `prefix_messages`",
        ),
        (lambda: bakery.create_conversational_dataset([{"turns": []}]), "row 1: turns holds no"),
        (lambda: bakery.create_conversational_dataset([]), "has no rows"),
    ],
)
def test_bad_rows_in_python_are_refused(make, said):
    with pytest.raises(StageError, match=said):
        make()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (["a", "b"], (["a", "b"], None)),
        (PAIRS, (["Hi", "And?"], ["Hello", None])),
        ([{"messages": [USER, BOT]}], (["Hi"], ["Hello"])),
    ],
)
def test_load_dataset_gives_prompts_and_responses(content, found):
    assert bakery.load_dataset(written("a.json", content)) == found


@pytest.mark.parametrize(
    "record",
    [{"messages": [USER, BOT, USER]}, {"prompt": "Hi", "prefix_messages": [SYSTEM]}],
)
def test_load_dataset_drops_nothing_silently(record):
    with pytest.raises(StageError, match="row 1 is more than a prompt and its response"):
        bakery.load_dataset(written("a.json", [record]))


def test_load_conversations_gives_dicts_that_make_a_dataset():
    record = {"messages": [USER], "response": "Hello", "prefix_messages": [SYSTEM]}
    found = bakery.load_conversations(written("a.json", [record]))
    assert found == [{"turns": [USER], "prefix_messages": [SYSTEM], "response": "Hello"}]
    assert len(bakery.create_conversational_dataset(found)) == 1


def test_load_data_gives_the_prompts():
    assert data.load_data(written("a.json", {"training_prompts": ["a", "b"]})) == ["a", "b"]


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ([{"user_messages": "Hi", "responses": None}], ["user_messages", "responses"]),
        ([{"user_messages": "Hi"}], ["user_messages", "responses"]),
        ([{"turns": [USER]}], ["turns", "prefix_messages", "responses"]),
        ([{"turns": [USER], "tools": []}], ["turns", "prefix_messages", "responses", "tools"]),
        ([{"prompt": "Hi"}], ["turns", "prefix_messages", "responses"]),
        (["Hi"], ["turns", "prefix_messages", "responses"]),
    ],
)
def test_the_collator_puts_rows_side_by_side(features, names):
    batch = bakery.prompt_baking_collator(features)
    assert list(batch) == names
    assert data.rows_of(batch) == [Row(1, (USER,))]


def test_rows_are_rows_already():
    rows = [Row(7, (USER,), "Hello")]
    assert data.rows_of(rows) == rows


def test_the_public_names_are_found_and_listed():
    assert set(bakery.__all__) <= set(dir(bakery))
    assert bakery.BakeryConfig.__module__ == "bakery.settings.config"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bakery.nothing
