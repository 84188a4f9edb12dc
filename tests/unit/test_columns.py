"""What a row holds is used, or named with its count: nothing is dropped without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from bakery.data import datasets as data
from bakery.data import sources
from bakery.data.rows import Row
from bakery.errors import BakeryError, StageError

ASKED = {"role": "user", "content": "a?"}
ANSWERED = {"role": "assistant", "content": "b."}
PAIR = {"prompt": "a?", "response": "b."}


def rows(*records: Any) -> tuple[list[Row], list[str]]:
    """Return the rows of records, and what is said of them."""
    said: list[str] = []
    return data.rows_of(list(records), name="x", note=said.append), said


def read(name: str, text: str) -> tuple[list[Row], list[str]]:
    """Return the rows of a file, and what is said of it."""
    Path(name).write_text(text, encoding="utf-8", newline="")
    said: list[str] = []
    return data.load_rows(name, note=said.append), said


def texts(row: Row) -> list[str]:
    """Return what is said in a row."""
    return [message["content"] for message in row.turns]


@pytest.mark.parametrize("key", ["images", "category", "chosen", "functions"])
def test_a_column_that_nothing_reads_is_named_with_its_rows(key: str) -> None:
    _, said = rows(PAIR | {key: "x"}, PAIR | {key: ["y"]}, PAIR, PAIR | {key: None}, PAIR)
    assert said == [f"x: not read: `{key}` (2 rows)"]


def test_an_empty_cell_is_not_missed() -> None:
    assert rows(PAIR | {"images": [], "id": "", "tags": {}}, PAIR | {"id": None})[1] == []


def test_many_unread_columns_are_counted() -> None:
    (said,) = rows(PAIR | {f"c{n}": 1 for n in range(12)})[1]
    assert said.endswith("`c7` (1 row), and 4 more")


@pytest.mark.parametrize("key", ["system", "system_prompt", "system_message"])
@pytest.mark.parametrize("shape", [PAIR, {"conversations": [ASKED, ANSWERED]}])
def test_a_system_prompt_of_a_row_is_its_own(key: str, shape: dict[str, Any]) -> None:
    (row,), said = rows(shape | {key: "Be kind."})
    assert (row.system, row.named) == ("Be kind.", ({"role": "system", "content": "Be kind."},))
    assert said == [f"x: `{key}` of 1 row is a system prompt of its own"]


def test_a_second_system_prompt_is_named() -> None:
    turns = [{"role": "system", "content": "Be brief."}, ASKED, ANSWERED]
    (row,), said = rows({"messages": turns, "system": "Be kind."})
    assert (row.system, said) == (None, ["x: not read: `system` (1 row)"])


def test_dollys_context_stands_behind_its_instruction() -> None:
    first = {"instruction": "When?", "context": "In 1931.", "response": "1931."}
    found, said = rows(first, {"instruction": "Name a fruit.", "context": "", "response": "Pear."})
    assert [texts(row) for row in found] == [["When?\n\nIn 1931."], ["Name a fruit."]]
    assert said == ["x: `context` of 1 row stands behind the instruction"]


def test_context_beside_another_prompt_is_named() -> None:
    assert rows({"question": "When?", "context": "In 1931."})[1] == [
        "x: not read: `context` (1 row)"
    ]


@pytest.mark.parametrize(
    "history",
    [
        [["One?", "1."]],
        [{"role": "user", "content": "One?"}, {"role": "assistant", "content": "1."}],
        '[["One?", "1."]]',
    ],
)
def test_a_history_is_the_turns_before_the_prompt(history: object) -> None:
    given = {"instruction": "Two?", "input": "", "output": "2.", "history": history}
    (row,), said = rows(given)
    assert (texts(row), row.response) == (["One?", "1.", "Two?"], "2.")
    assert said == ["x: `history` of 1 row is earlier turns; those of the assistant are learnt as "
                    "all are"]  # fmt: skip


def test_a_history_of_another_kind_is_named() -> None:
    assert rows(PAIR | {"history": "watched it"})[1] == ["x: not read: `history` (1 row)"]


@pytest.mark.parametrize(
    "mark",
    [{"weight": 0}, {"train": False}, {"training": False}, {"loss": False}, {"loss_weight": 0.0},
     {"loss_scale": 0}, {"trainable": "false"}, {"masked": True}],
)  # fmt: skip
def test_a_turn_that_is_marked_is_not_learnt(mark: dict[str, Any]) -> None:
    (key,) = mark
    (row,), said = rows({"messages": [ASKED, ANSWERED | mark, ASKED, ANSWERED]})
    assert (row.unlearnt, row.turns[1]) == ((1,), ANSWERED)
    assert said == [f"x: 1 turn not learnt, as `{key}` says"]


@pytest.mark.parametrize("mark", [{"weight": 1}, {"train": True}, {"masked": False}])
def test_a_turn_that_is_marked_to_be_learnt_is(mark: dict[str, Any]) -> None:
    (row,), said = rows({"messages": [ASKED, ANSWERED | mark]})
    assert (row.unlearnt, row.turns[1], said) == ((), ANSWERED, [])


@pytest.mark.parametrize(
    "mark",
    [{"weight": 0}, {"train": False}, {"loss_weight": 0}, {"label": False}, {"label": "False"}],
)
@pytest.mark.parametrize("shape", [PAIR, {"messages": [ASKED, ANSWERED]}])
def test_a_row_that_is_marked_is_left_out(mark: dict[str, Any], shape: dict[str, Any]) -> None:
    (key,) = mark
    yes = {key: "True" if mark[key] == "False" else True}
    (row,), said = rows(shape | mark, shape | yes)
    assert row.number == 2
    assert said == [f"x: 1 row left out: `{key}` says that it is not learnt"]


def test_a_class_is_no_mark() -> None:
    found, said = rows(PAIR | {"label": 0}, PAIR | {"label": 2})
    assert (len(found), said) == (2, ["x: not read: `label` (2 rows)"])


def test_a_share_is_no_mark_and_is_named() -> None:
    (row,), said = rows({"messages": [ASKED, ANSWERED | {"weight": 0.5}]})
    assert row.unlearnt == ()
    assert said == [
        "x: in messages, shown only by a chat template that knows it: `weight` (1 message)"
    ]


def test_rows_that_are_all_marked_are_refused() -> None:
    with pytest.raises(StageError, match="every row is marked as none to learn from"):
        rows(PAIR | {"label": False})


def test_keys_of_messages_that_nothing_reads_are_named() -> None:
    thinking = ANSWERED | {"reasoning_content": "Hm.", "timestamp": 3, "images": []}
    said = rows({"messages": [ASKED | {"name": "Jo"}, thinking]})[1]
    assert said == [
        "x: in messages, shown only by a chat template that knows it: `timestamp` (1 message)"
    ]


def test_the_prompt_is_one_column_of_the_whole_file(workplace: Path) -> None:
    with pytest.raises(BakeryError, match="row 2: its prompt holds nothing") as caught:
        read("a.csv", "prompt,text,response\nOne?,meta,1.\n,meta,2.\n")
    assert "it has prompt, text, response" in caught.value.message
    with pytest.raises(BakeryError, match="line 2: its prompt holds nothing"):
        read("a.jsonl", '{"prompt": "One?", "text": "meta"}\n{"text": "meta"}\n')
    with pytest.raises(BakeryError, match="row 2: messages holds nothing"):
        rows({"messages": [ASKED], "prompt": "a?"}, {"messages": None, "prompt": "a?"})


def test_the_response_is_one_column_of_the_whole_file() -> None:
    found, said = rows(PAIR | {"output": "x"}, {"prompt": "a?", "response": None, "output": "y"})
    assert [row.response for row in found] == ["b.", None]
    assert said == ["x: not read: `output` (2 rows)"]


def test_alpaca_is_read_alike_where_an_input_is_null() -> None:
    whole = {"text": "Below is an instruction …", "output": "o"}
    found, said = rows(
        {"instruction": "Sum.", "input": "1 2"} | whole,
        {"instruction": "Sing.", "input": None} | whole,
    )
    assert [texts(row) for row in found] == [["Sum.\n\n1 2"], ["Sing."]]
    assert said == ["x: not read: `text` (2 rows)"]


def test_rows_of_two_files_put_together_are_read_by_their_own_keys() -> None:
    found, said = rows(
        {"prompt": "a?", "response": "b."},
        {"question": "c?", "answer": "d."},
        {"messages": [ASKED]},
    )
    assert [(texts(row), row.response) for row in found] == [
        (["a?"], "b."), (["c?"], "d."), (["a?"], None),
    ]  # fmt: skip
    assert said == []


@pytest.mark.parametrize(
    ("name", "sign", "called"),
    [("a.csv", ";", "semicolons"), ("a.csv", "\t", "tabs"), ("a.csv", "|", "bars"),
     ("a.tsv", ",", "commas")],
)  # fmt: skip
def test_a_table_may_have_another_delimiter(
    name: str, sign: str, called: str, workplace: Path
) -> None:
    text = f'\ufeffprompt{sign}response\n"One{sign} please?"{sign}1.\n'
    (row,), said = read(name, text)
    assert (texts(row), row.response) == ([f"One{sign} please?"], "1.")
    assert said == [f"{name}: its columns are divided by {called}"]


def test_the_delimiter_that_excel_names_is_taken(workplace: Path) -> None:
    (row,), _ = read("a.csv", "sep=;\nprompt;response\nOne, please?;1.\n")
    assert (texts(row), row.response) == (["One, please?"], "1.")


def test_a_table_of_one_column_keeps_its_commas_and_bars(workplace: Path) -> None:
    (row,), said = read("a.csv", "prompt\nOne; or | two?\n")
    assert (texts(row), said) == (["One; or | two?"], [])


def test_two_columns_of_one_name_that_differ_are_refused_where_they_are_read(
    workplace: Path,
) -> None:
    with pytest.raises(StageError, match=r"a\.csv:2: two columns are called `prompt`"):
        read("a.csv", "prompt,prompt\nOne?,Two?\n")
    (row,), said = read("a.csv", "prompt,id,id,prompt\nOne?,1,2,\n")
    assert texts(row) == ["One?"]
    assert said == ["a.csv: not read: `id` (1 row), `id (another than column 3)` (1 row)"]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_two_values_of_one_name_in_json_are_refused(name: str, workplace: Path) -> None:
    with pytest.raises(StageError, match="an object has two values of `prompt`"):
        read(name, '{"prompt": "One?", "prompt": "Two?"}\n')
    assert texts(read(name, '{"prompt": "One?", "prompt": "One?"}\n')[0][0]) == ["One?"]


def test_two_columns_of_one_name_in_parquet_are_refused(workplace: Path) -> None:
    table = pyarrow.table([pyarrow.array(["One?"]), pyarrow.array(["Two?"])], ["prompt"] * 2)
    parquet.write_table(table, "a.parquet")
    with pytest.raises(StageError, match="two columns are called `prompt`"):
        data.load_rows("a.parquet")
    with pytest.raises(StageError, match="two columns are called `prompt`"):
        sources.read_bytes(Path("a.parquet").read_bytes(), "a.parquet")


def test_what_stands_beside_the_rows_of_a_document_is_named(workplace: Path) -> None:
    document = {"system": "Be kind.", "version": 2, "data": [PAIR], "tools": []}
    assert read("a.json", json.dumps(document))[1] == ["a.json: reads `data` and leaves out system"]
    document = {"system": "Be kind.", "train": [PAIR], "test": [PAIR]}
    assert read("a.json", json.dumps(document))[1] == [
        "a.json: reads `train` and leaves out system"
    ]


@pytest.mark.parametrize(
    "parts",
    [
        [{"type": "text", "value": "a?"}],
        [{"type": "text", "content": "a?"}],
        [{"type": "input_text", "text": "a"}, "?"],
        [{"text": "a?"}],
    ],
)
def test_a_part_of_content_may_have_its_text_under_other_names(parts: list[Any]) -> None:
    assert texts(rows({"messages": [{"role": "user", "content": parts}]})[0][0]) == ["a?"]


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"type": "text", "txt": "a"}, "a part of content has `txt`, where `text` with a text was"),
        ({"type": "thinking", "text": "Hm."}, "a part of type 'thinking': only text can be baked"),
        ({"type": "image", "text": "a cat"}, "a part of type 'image': only text can be baked"),
        ({"type": "text"}, "a part of content has only a type"),
        (7, "content holds 7: only text can be baked"),
    ],
)
def test_a_part_that_is_no_text_is_refused_by_what_it_is(part: object, said: str) -> None:
    with pytest.raises(StageError) as caught:
        rows({"messages": [{"role": "user", "content": [part]}]})
    assert said in caught.value.message


def test_what_a_row_does_not_have_is_in_no_digest() -> None:
    plain = {"number": 1, "turns": (ASKED,), "response": None, "prefix": None, "tools": ()}
    assert Row(1, (ASKED,)).as_data() == plain
    assert Row(1, (ASKED,), system="x", unlearnt=(0,)).as_data() == plain | {
        "system": "x",
        "unlearnt": (0,),
    }


def test_marks_and_system_prompts_pass_through_a_data_set_of_python() -> None:
    (row,), _ = rows(
        {"messages": [ASKED, ANSWERED | {"weight": 0}, ASKED, ANSWERED], "system": "Be kind."}
    )
    dataset = data.create_conversational_dataset([data._as_record(row)])
    (again,) = data.rows_of(dataset, note=lambda _: None)
    assert (again.system, again.unlearnt, again.turns) == (row.system, row.unlearnt, row.turns)


def test_samples_of_an_eval_file_name_what_is_not_read(workplace: Path) -> None:
    Path("q.json").write_text(json.dumps([{"question": "a?", "answer": "b", "system": "Be kind."}]))
    said: list[str] = []
    assert data.load_eval_data("q.json", said.append) == [{"question": "a?", "answer": ["b"]}]
    assert said == ["q.json: not read: `system` (1 row)"]


def test_the_question_of_an_eval_file_is_one_column(workplace: Path) -> None:
    samples = [{"question": "a?", "input": "x", "answer": "b"}, {"input": "y", "answer": "b"}]
    Path("q.json").write_text(json.dumps(samples))
    with pytest.raises(BakeryError, match="sample 2: expected a text under question"):
        data.load_eval_data("q.json", lambda _: None)


def test_a_corpus_names_what_is_not_in_its_text(workplace: Path) -> None:
    paper = {"title": "On bread", "abstract": "It rises.", "content": "All of it.", "year": 1931}
    Path("p.json").write_text(json.dumps([paper]))
    with pytest.warns(UserWarning, match=r"p\.json: not read: `content` \(1 paper\)"):
        data.load_corpus("p.json")
