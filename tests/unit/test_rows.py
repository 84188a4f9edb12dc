"""`bgit stim` and `bgit rollout`: the shares of a mix, pages, JSON and files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from bakery.cli.questions import row_options
from bakery.errors import ConfigError
from bakery.records import Stimulus, Trajectory, append_rows
from bakery.repo.look import questions as rows
from bakery.repo.look.questions import Folders
from bakery.ui.questions import Form, show_answers, show_stimuli
from tests.support import recorded

GENERATORS = [
    {"type": "oneshot_qs", "model": "gpt-5", "numq": 3},
    {"type": "hardcoded", "questions": ["a?", "b?"]},
    {"type": "from_dataset", "dataset": "q.csv"},
]


def asked(text: str, source: int = 0, writer: str = "gpt-5", **more: str) -> Stimulus:
    kind = GENERATORS[source]["type"]
    return Stimulus(text, ({"role": "user", "content": text},), str(kind), writer, source, **more)


QUESTIONS = [
    asked("one?"),
    asked("two?"),
    asked("a?", 1, "input.yml"),
    asked("d?", 2, "q.csv", rollout_with="student"),
]
ANSWERS = [
    Trajectory("one?", 0, (5, 6, 2), "Yes.", "stop", "base"),
    Trajectory("two?", 0, (5, 6, 7, 8), "Well, it is", "length", "base"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "request.json").write_text(json.dumps({"generators": GENERATORS}))
    left_out = [{"text": "x", "reason": "duplicate", "source": 1, "round": 0}]
    lines = [*left_out, {"text": "y", "reason": "cut off", "source": 0, "round": 0}]
    (tmp_path / "rejected.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    append_rows(tmp_path / "stimuli.jsonl", QUESTIONS)
    return tmp_path


def stim(folder: Path, *, limit: int | None = None, offset: int = 0, **how: Any) -> None:
    found = rows.questions(Folders("t_1", folder, folder), limit=limit, offset=offset)
    show_stimuli(found, Form(**how))


def rollout(folder: Path, *, limit: int | None = None, offset: int = 0, **how: Any) -> None:
    append_rows(folder / "trajectories.jsonl", ANSWERS)
    found = rows.answers(Folders("t_1", folder, folder), limit=limit, offset=offset)
    show_answers(found, Form(**how))


def test_the_shares_of_the_mix_are_shown_above_the_questions(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stim(folder)
    head, first, second, third, empty, *questions = capsys.readouterr().out.split("\n")
    assert head.split() == ["generator", "from", "writer", "wanted", "got", "share", "left", "out"]
    assert first.split() == ["oneshot_qs", "gpt-5", "gpt-5", "3", "2", "50", "%", "1", "cut", "off"]
    assert second.split() == ["hardcoded", "-", "input.yml", "2", "1", "25", "%", "1", "duplicate"]
    assert third.split() == ["from_dataset", "q.csv", "q.csv", "all", "1", "25", "%", "-"]
    assert empty == ""
    assert questions == [
        "   1  one?",
        "   2  two?",
        "   3  a?",
        "   4  d?  [answered under the student prompt]",
        "",
    ]


def test_of_several_targets_the_first_is_shown_and_the_others_are_named(workplace: Path) -> None:
    repo = recorded.made(workplace / "yoda")
    recorded.baked(repo, "one")
    assert rows.folders_of(repo, None).remark == (
        f"input.yml names no target; these are of {repo.bakes()[0].name}"
    )
    text = (
        recorded.configuration("two") + "  datasets: [{target: two_target}, {target: one_target}]\n"
    )
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    recorded.git(repo.root, "commit", "-qam", "both")
    assert rows.folders_of(repo, None).remark is None
    plan = repo.plan()
    repo.record(
        plan, recorded.stored(repo, plan), launched=repo.launch_blob(), reporter=recorded.Quiet()
    )
    shown = rows.folders_of(repo, None)
    assert shown.name == plan.targets[0].name
    assert shown.remark == (
        f"input.yml names no target; these are of two_target of {plan.bake_name}; "
        "--target shows one_target"
    )


def test_options_have_short_names_too() -> None:
    @click.command()
    @row_options
    def show(**given: object) -> None:
        click.echo(f"{given['limit']} {given['count']}")

    for words in (["-l", "3", "-c"], ["-n", "3", "--count"], ["--limit", "3", "-c"]):
        assert CliRunner().invoke(show, words).output == "3 True\n"


def test_a_page_begins_and_ends_where_it_is_asked_to(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stim(folder, limit=2, offset=1)
    done = capsys.readouterr()
    assert done.out.endswith("\n   2  two?\n   3  a?\n")
    assert done.err == "note: 2 of 4 shown, from 2\n"


def test_json_is_one_document_with_shares_and_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stim(folder, as_json=True, offset=3)
    document = json.loads(capsys.readouterr().out)
    assert (document["target"], document["count"], document["offset"]) == ("t_1", 4, 3)
    assert document["complete"] is False
    assert [share["got"] for share in document["generators"]] == [2, 1, 1]
    assert document["generators"][0]["writers"] == {"gpt-5": 2}
    assert document["generators"][1]["left_out"] == {"duplicate": 1}
    assert [row["rollout_with"] for row in document["stimuli"]] == ["student"]


def test_answers_are_counted_and_the_cut_ones_marked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rollout(folder)
    assert capsys.readouterr().out == (
        "2 answers by base: 7 tokens, 1 ended, 1 cut\n\n"
        "   1  one?\n      Yes.  [3 tokens]\n"
        "   2  two?\n      Well, it is  [4 tokens, cut]\n"
    )


def test_the_json_of_answers_has_their_questions_and_tokens(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rollout(folder, as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert document["finish"] == {"stop": 1, "length": 1}
    assert [(a["question"], a["tokens"]) for a in document["answers"]] == [("one?", 3), ("two?", 4)]


@pytest.mark.parametrize(
    ("as_json", "out"), [(False, "2\n"), (True, '{"schema": 1, "count": 2}\n')]
)
def test_count_is_only_the_count(
    folder: Path, as_json: bool, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rollout(folder, count=True, as_json=as_json)
    assert capsys.readouterr().out == out


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.csv", "r.txt"])
def test_a_file_has_the_form_that_its_name_says(
    folder: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rollout(folder, out=tmp_path / name)
    done = capsys.readouterr()
    assert (done.out, done.err) == ("", f"note: 2 of 2 written to {tmp_path / name}\n")
    text = (tmp_path / name).read_text(encoding="utf-8")
    if name.endswith("jsonl"):
        assert [json.loads(line)["text"] for line in text.splitlines()] == ["Yes.", "Well, it is"]
    elif name.endswith("json"):
        assert len(json.loads(text)["answers"]) == 2
    elif name.endswith("csv"):
        assert [row["question"] for row in csv.DictReader(text.splitlines())] == ["one?", "two?"]
    else:
        assert "   2  two?\n      Well, it is  [4 tokens, cut]\n" in text


def test_a_file_that_exists_is_kept(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine\.txt exists already"):
        rollout(folder, out=tmp_path / "mine.txt")


def test_a_poor_writer_is_seen_above_the_questions(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = {"0": {"writer": "gpt-5", "usable": 4, "of": 20}}
    (folder / "done.json").write_text(json.dumps({"judged": judged}))
    stim(folder)
    head, first, second, *rest = capsys.readouterr().out.split("\n")
    assert head.split()[5:] == ["share", "usable", "left", "out"]
    assert first.split()[6:] == ["%", "4", "of", "20", "1", "cut", "off"]
    assert second.split()[6:] == ["%", "-", "1", "duplicate"]
    assert "Fewer than half of what gpt-5 said are messages to send" in rest[1]
    assert "`bgit run --allow questions`" in rest[1]


def test_a_writer_of_whom_half_is_usable_is_not_called_poor(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = {"0": {"writer": "gpt-5", "usable": 10, "of": 20}}
    (folder / "beside.json").write_text(json.dumps({"judged": judged}))
    stim(folder)
    shown = capsys.readouterr().out
    assert "10 of 20" in shown
    assert "Fewer than half" not in shown
