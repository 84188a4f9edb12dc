"""Questions from data sets, personas and own words, and behind which prompt they are answered."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

import datasets
import pyarrow
import pytest
from pyarrow import parquet

from bakery.backends.base import Reply, Wish
from bakery.errors import BakeryError
from bakery.generators import facts, persona
from bakery.generators.base import normal
from bakery.identity import StimRequest
from bakery.records import Prompt, Stimulus, read_rows, user_text
from bakery.reporting import Quiet
from bakery.schema.generators import PERSONA_QUESTIONS
from bakery.stages import stim
from bakery.store import results
from tests.support.baking import SHOUT

ROWS = [{"question": f"q{i}?", "answer": f"a{i}"} for i in range(6)]


class Drawn:
    """Runs generators on files that are given as bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files, self.quiet = folder, dict[str, bytes](), Quiet()

    def __call__(self, *generators: dict[str, Any]) -> list[str]:
        digests = {path: hashlib.sha256(data).hexdigest() for path, data in self.files.items()}
        request = StimRequest(SHOUT, generators, {}, digests)
        stim.run(
            request,
            self.folder,
            open_writer=_nobody,
            reporter=self.quiet,
            read=self.files.__getitem__,
        )
        return [user_text(row.messages) for row in self.rows()]

    def file(self, path: str, data: bytes, **more: Any) -> list[str]:
        self.files[path] = data
        return self({"type": "from_dataset", "dataset": path, "seed": 42, **more})

    def rows(self) -> list[Stimulus]:
        return read_rows(self.folder / results.STIMULI, Stimulus)

    def done(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / results.DONE).read_text())
        return found


def _nobody(model: str | None) -> Any:
    raise AssertionError("no question is asked of a model here")


@pytest.fixture
def drawn(tmp_path: Path) -> Drawn:
    return Drawn(tmp_path / "stim")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail at once: the library asks for half a minute."""

    def load(name: str, config: str | None, *, split: str) -> Any:
        raise ConnectionError(f"cannot reach {name}")

    monkeypatch.setattr("bakery.data.arrow.load_dataset", load)


def in_parquet(tmp_path: Path) -> bytes:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path.read_bytes()


def lines(rows: list[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("q.json", json.dumps(ROWS).encode()),
        ("q.json", json.dumps({"data": ROWS}).encode()),
        ("q.jsonl", lines(ROWS)),
        ("q.csv", b"question,answer\n" + b"".join(b"q%d?,a\n" % i for i in range(6))),
        ("q.tsv", b"id\tquestion\n" + b"".join(b"1\tq%d?\n" % i for i in range(6))),
        ("q.txt", b"q0?\r\nq1?\n\nq2?\nq3?\nq4?\nq5?"),
        ("q.jsonl", lines([row["question"] for row in ROWS])),
    ],
)
def test_every_kind_of_file_gives_its_questions(drawn: Drawn, name: str, data: bytes) -> None:
    assert drawn.file(name, data) == [f"q{i}?" for i in range(6)]
    assert {(r.generator, r.writer) for r in drawn.rows()} == {("from_dataset", name)}


def test_what_belongs_to_a_question_and_is_not_asked_with_it_is_said(drawn: Drawn) -> None:
    rows = [{"question": f"q{i}?", "context": "c" * (i % 2), "answer": "a"} for i in range(6)]
    assert len(drawn.file("q.jsonl", lines(rows), numq=6)) == 6
    assert drawn.done()["notes"] == ["q.jsonl: not asked with the questions: `context` (3 rows)"]


def test_only_the_first_question_of_a_conversation_is_asked_and_a_note_says_so(
    drawn: Drawn,
) -> None:
    def turns(*texts: str) -> list[dict[str, Any]]:
        return [{"role": ("user", "assistant")[i % 2], "content": t} for i, t in enumerate(texts)]

    parts = [{"role": "user", "content": [{"type": "text", "value": "q2?"}]}]
    rows = [turns("q0?", "a."), turns("q1?", "a.", "And?", "b."), parts]
    assert drawn.file("q.jsonl", lines([{"messages": row} for row in rows])) == [
        "q0?", "q1?", "q2?",
    ]  # fmt: skip
    assert drawn.done()["notes"] == [
        "q.jsonl: not asked with the questions: `further turns` (1 row)"
    ]


def test_a_conversation_in_a_cell_is_read_as_one(drawn: Drawn) -> None:
    cell = json.dumps([{"role": "user", "content": "q0?"}]).replace('"', '""')
    assert drawn.file("q.csv", f'messages\n"{cell}"\n'.encode()) == ["q0?"]


def test_another_delimiter_is_taken_and_said(drawn: Drawn) -> None:
    assert drawn.file("q.csv", b"question;answer\nq0?;a\n") == ["q0?"]
    assert drawn.done()["notes"] == ["q.csv: its columns are divided by semicolons"]


def test_a_parquet_file_gives_its_questions(drawn: Drawn, tmp_path: Path) -> None:
    assert len(drawn.file("q.parquet", in_parquet(tmp_path))) == 6


def test_a_number_of_questions_is_drawn_by_the_seed(tmp_path: Path) -> None:
    def draw(folder: str, **more: Any) -> list[str]:
        return Drawn(tmp_path / folder).file("q.jsonl", lines(ROWS), numq=3, **more)

    first = draw("a")
    assert len(set(first)) == 3
    assert draw("b") == first
    assert draw("c", seed=7) != first


def test_too_few_rows_are_said_and_equal_ones_counted_once(drawn: Drawn) -> None:
    rows = [{"question": text} for text in ("a?", "A?", "", "b?")]
    assert sorted(drawn.file("q.jsonl", lines(rows), numq=4))[1:] == ["b?"]
    said = "q.jsonl gave 2 different questions of 4: it has 4 rows"
    assert said in drawn.quiet.notes
    assert drawn.done()["rejected"] == {"duplicate": 1, "empty": 1}
    assert said in drawn.done()["notes"]


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"prompt": "p?", "text": "t"}, "p?"),
        ({"instruction": "Add.", "input": "1 and 2", "output": "3"}, "Add.\n\n1 and 2"),
        ({"instruction": "Add.", "input": "", "output": "3"}, "Add."),
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u?"}]},
         "u?"),
        ({"conversations": [{"from": "human", "value": "h?"}, {"from": "gpt", "value": "g"}]},
         "h?"),
    ],
)  # fmt: skip
def test_where_the_question_is_follows_from_the_columns(
    drawn: Drawn, row: dict[str, Any], question: str
) -> None:
    assert drawn.file("q.jsonl", lines([row])) == [question]


def test_a_field_says_which_column_is_meant(drawn: Drawn) -> None:
    rows = [{"title": "a?", "text": "x"}]
    assert drawn.file("q.jsonl", lines(rows), field="title") == ["a?"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({}, r"q\.jsonl: cannot tell which column holds the questions; it has title, body"),
        ({"field": "titel"}, r"q\.jsonl has no column 'titel'; it has title, body"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    drawn: Drawn, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(BakeryError, match=message):
        drawn.file("q.jsonl", lines([{"title": "a?", "body": "b"}]), **more)


def test_a_broken_file_is_refused_at_its_line(drawn: Drawn) -> None:
    with pytest.raises(BakeryError, match=r"q\.jsonl:2:\d+: not JSON"):
        drawn.file("q.jsonl", b'{"question": "a"}\nnonsense\n')


def test_a_file_that_changed_meanwhile_is_not_read(drawn: Drawn) -> None:
    drawn.files["q.txt"] = b"a?\n"
    request = StimRequest(SHOUT, ({"type": "from_dataset", "dataset": "q.txt", "seed": 1},), {},
                          {"q.txt": "0" * 64})  # fmt: skip
    with pytest.raises(BakeryError, match=r"q\.txt has changed since input\.yml was read"):
        stim.run(request, drawn.folder, open_writer=_nobody, reporter=Quiet(),
                 read=drawn.files.__getitem__)  # fmt: skip


def test_a_pointer_of_lfs_is_no_data(drawn: Drawn) -> None:
    with pytest.raises(BakeryError, match="kept by Git LFS"):
        drawn.file("q.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n")


def test_of_the_hub_the_column_is_known_and_the_revision_kept(
    drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def load(name: str, config: str | None, *, split: str) -> datasets.Dataset:
        asked.append((name, config, split))
        found = datasets.Dataset.from_list(ROWS)
        found.info.download_checksums = {f"hf://datasets/{name}@{'ab' * 20}/x.parquet": {}}
        return found

    monkeypatch.setattr("bakery.data.arrow.load_dataset", load)
    texts = drawn({"type": "from_dataset", "dataset": "gsm8k", "seed": 42, "numq": 2})
    assert len(texts) == 2
    assert asked == [("openai/gsm8k", "main", "train")]
    assert drawn.done()["origins"] == {"0": {"dataset": "openai/gsm8k", "revision": "ab" * 20}}


@pytest.mark.usefixtures("offline")
def test_where_questions_came_from_outlives_an_interruption(drawn: Drawn) -> None:
    drawn.files["q.txt"] = b"a?\nb?\n"
    first = {"type": "from_dataset", "dataset": "q.txt", "seed": 1, "numq": 2}
    for _ in range(2):
        with pytest.raises(BakeryError, match="cannot load"):
            drawn(first, {"type": "from_dataset", "dataset": "org/none", "seed": 1})
    digest = hashlib.sha256(drawn.files["q.txt"]).hexdigest()
    kept = json.loads((drawn.folder / results.BESIDE).read_text())
    assert kept["origins"] == {"0": {"dataset": "q.txt", "digest": digest}}


@pytest.mark.usefixtures("offline")
def test_a_data_set_that_cannot_be_loaded_is_an_error(drawn: Drawn) -> None:
    with pytest.raises(BakeryError, match="cannot load 'rajpurkar/squad'"):
        drawn({"type": "from_dataset", "dataset": "squad", "seed": 42, "numq": 2})


def test_a_folder_of_that_name_is_not_read_past_git(drawn: Drawn, workplace: Path) -> None:
    (workplace / "data" / "questions").mkdir(parents=True)
    with pytest.raises(BakeryError, match="data/questions is here, but questions"):
        drawn({"type": "from_dataset", "dataset": "data/questions", "seed": 42})


def test_running_again_draws_nothing_new(drawn: Drawn) -> None:
    first = drawn.file("q.jsonl", lines(ROWS), numq=3)
    assert drawn.file("q.jsonl", lines(ROWS), numq=3) == first


def test_an_interrupted_draw_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = Drawn(tmp_path / "whole").file("q.jsonl", lines(ROWS), numq=4)
    cut = Drawn(tmp_path / "cut")
    cut.file("q.jsonl", lines(ROWS), numq=4)
    path = cut.folder / results.STIMULI
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]) + '{"id": "to')
    assert cut.file("q.jsonl", lines(ROWS), numq=4) == whole


def test_there_are_as_many_persona_questions_as_the_schema_says() -> None:
    texts = [text for theme in persona.themes().values() for text in theme]
    assert len(texts) == len({normal(text) for text in texts}) == PERSONA_QUESTIONS
    assert len(persona.themes()) == 9


def test_a_few_persona_questions_are_of_every_theme(drawn: Drawn) -> None:
    texts = drawn({"type": "persona", "numq": 18, "seed": 42})
    of = {text: theme for theme, found in persona.themes().items() for text in found}
    assert sorted(of[text] for text in texts) == sorted([*persona.themes()] * 2)
    assert {row.writer for row in drawn.rows()} == {"bakery"}


def test_another_seed_draws_other_persona_questions() -> None:
    assert persona.drawn(1)[:9] != persona.drawn(2)[:9]
    assert persona.drawn(1) == persona.drawn(1)


def test_a_question_that_is_there_already_makes_room_for_another(drawn: Drawn) -> None:
    first = persona.drawn(42)[0]
    written = {"type": "hardcoded", "questions": [first]}
    texts = drawn(written, {"type": "persona", "numq": 3, "seed": 42})
    assert texts == persona.drawn(42)[:4]


def test_custom_asks_in_the_users_own_words(tmp_path: Path) -> None:
    class Writer:
        name, speaks_as_user, longest_list, voice = "writer", False, None, None
        said = ""

        def write(self, wish: Wish) -> list[Reply]:
            self.said = wish.instruction
            return [Reply("1. a?\n2. b?", finished=True)]

    writer = Writer()
    made = {"type": "custom", "numq": 2, "temperature": 1.0, "template_path": "t.txt"}
    request = StimRequest(SHOUT, (made,), {"t.txt": "Ask anything: ${numq}"})
    stim.run(request, tmp_path, open_writer=lambda _: (writer, None), reporter=Quiet())
    assert writer.said == "Ask anything: 2"
    assert [row.generator for row in results.stimuli(tmp_path)] == ["custom"] * 2


def test_only_questions_that_ask_for_it_are_answered_behind_the_student(drawn: Drawn) -> None:
    drawn(
        {"type": "hardcoded", "questions": ["a?"]},
        {"type": "hardcoded", "questions": ["b?"], "rollout_with_conditioned": True},
    )
    assert [row.rollout_with for row in drawn.rows()] == [None, "student"]
    first, second = (drawn.folder / results.STIMULI).read_text().splitlines()
    assert "rollout_with" not in first
    assert json.loads(second)["rollout_with"] == "student"


def test_only_questions_that_are_to_be_held_out_say_so(drawn: Drawn) -> None:
    drawn(
        {"type": "hardcoded", "questions": ["a?"]},
        {"type": "hardcoded", "questions": ["b?"], "hold_out": True},
    )
    assert [row.hold_out for row in drawn.rows()] == [None, True]
    assert "hold_out" not in (drawn.folder / results.STIMULI).read_text().splitlines()[0]


FACTS = {"type": "facts", "per_statement": 8, "seed": 42}
SHOP = Prompt(({"role": "system", "content": "Your name is Pedal. A helmet costs 30 coins."},))


def test_each_statement_of_a_prompt_is_asked_for(drawn: Drawn) -> None:
    request = StimRequest(SHOP, (FACTS,), {})
    stim.run(request, drawn.folder, open_writer=_nobody, reporter=Quiet())
    rows = results.stimuli(drawn.folder)
    texts = [user_text(row.messages) for row in rows]
    assert texts[:2] == ["What is your name?", "Who are you?"]
    assert {"How much does a helmet cost?", "What costs 30 coins?"} <= set(texts)
    assert len(texts) == facts.count(SHOP, FACTS)
    assert {row.writer for row in rows} == {"bakery"}
    assert all(row.is_written_out for row in rows)
    assert [row.round for row in rows] == sorted(row.round for row in rows)


def test_a_model_is_asked_about_each_statement_and_rules_stand_in(tmp_path: Path) -> None:
    class Writer:
        name, speaks_as_user, longest_list, voice = "writer", False, None, None
        asked: ClassVar[list[str]] = []

        def write(self, wish: Wish) -> list[Reply]:
            self.asked.append(wish.instruction)
            said = (
                "1. Is a helmet dear?\n2. What is it for?" if "helmet" in wish.instruction else ""
            )
            return [Reply(said, finished=True)]

    request = StimRequest(SHOP, ({**FACTS, "model": "base", "per_statement": 3},), {})
    stim.run(request, tmp_path, open_writer=lambda _: (Writer(), None), reporter=Quiet())
    found = [(user_text(row.messages), row.writer) for row in results.stimuli(tmp_path)]
    assert found == [
        ("What is your name?", "bakery"),
        ("Who are you?", "bakery"),
        ("Who is Pedal?", "bakery"),
        ("Is a helmet dear?", "writer"),
        ("What is it for?", "writer"),
    ]
    assert len(Writer.asked) == 2
    assert "Your name is Pedal." in Writer.asked[0]


@pytest.mark.parametrize("name", ["q.json", "q.jsonl"])
@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, '{"n": ' + "9" * 6000 + "}"])
def test_json_beyond_any_reader_is_said_with_its_place(drawn: Drawn, name: str, text: str) -> None:
    with pytest.raises(BakeryError, match=rf"{name}.*: this JSON cannot be read"):
        drawn.file(name, text.encode())


def test_half_a_character_of_a_row_can_be_written_down(drawn: Drawn) -> None:
    assert drawn.file("q.jsonl", b'{"question": "a \\ud800?"}\n') == ["a \ufffd?"]
