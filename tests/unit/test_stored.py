"""What a folder of the store computes is what its recipe says, or it is not used."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bakery.app import outputs, stored
from bakery.engine.bases import heads
from bakery.errors import ModelError, RepoError, StageError
from bakery.identity import file_digest
from bakery.records import Stimulus, Trajectory, append_rows, read_rows
from bakery.repo import left
from bakery.repo.commits.journal import Journal
from bakery.repo.look import questions
from bakery.repo.model_repo import ModelRepo
from bakery.store import drafts, results
from bakery.store.output_dir import FINAL, RESULTS
from bakery.store.store import Store
from tests.support.commands import typed
from tests.support.version_1 import unpacked


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of an earlier version, with its store; for copying."""
    return unpacked(tmp_path_factory.mktemp("old") / "repository")


@pytest.fixture
def repo(old: Path, workplace: Path) -> ModelRepo:
    return ModelRepo.find(shutil.copytree(old, workplace / "old", symlinks=True))


def current(repo: ModelRepo) -> Path:
    parent = repo.state().parent
    assert parent is not None
    return stored.weights(repo, parent)


def test_a_doubled_alpha_is_found_before_anything_is_trained_on_it(repo: ModelRepo) -> None:
    config = current(repo) / "adapter_config.json"
    said = json.loads(config.read_text())
    config.write_text(json.dumps(said | {"lora_alpha": 2 * said["lora_alpha"]}), "utf-8")
    with pytest.raises(ModelError, match="is damaged: lora_alpha is") as caught:
        current(repo)
    assert "Delete it: it is written anew from the weights" in str(caught.value.hint)
    config.unlink()
    written = json.loads((current(repo) / "adapter_config.json").read_text())
    assert (written["r"], written["lora_alpha"]) == (said["r"], said["lora_alpha"])


def test_slices_that_are_gone_are_written_anew(repo: ModelRepo) -> None:
    slices = current(repo) / "slices.json"
    before = json.loads(slices.read_text())
    slices.unlink()
    current(repo)
    assert json.loads(slices.read_text()) == before
    slices.write_text(json.dumps([before[-1] | {"start": 0}]), encoding="utf-8")
    if len(before) > 1:
        with pytest.raises(ModelError, match=r"slices\.json is damaged"):
            current(repo)


def test_nothing_that_is_right_is_written(repo: ModelRepo) -> None:
    folder = current(repo)
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    current(repo)
    now = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    assert now == before
    assert heads.read(folder / "adapter_model.safetensors")


def rows_of(folder: Path, name: str, row: Stimulus | Trajectory) -> Path:
    """Write a complete set of one row; return its file."""
    folder.mkdir()
    append_rows(folder / name, [row])
    told = {"count": 1, "digest": file_digest(folder / name), "notes": [], "seconds": 0.5}
    results.end(folder, told)
    return folder / name


ASKED = Stimulus("a1", ({"role": "user", "content": "Who?"},), "hardcoded", "input.yml")
SAID = Trajectory("a1", 0, (5, 6), "I.", "stop", "tiny-1")


def test_rows_that_were_changed_are_shown_with_a_word(workplace: Path) -> None:
    asked = rows_of(workplace / "s", "stimuli.jsonl", ASKED)
    said = rows_of(workplace / "t", "trajectories.jsonl", SAID)
    found = questions.Folders("t", workplace / "s", workplace / "t", "these are of t")
    assert questions.questions(found).remark == questions.answers(found).remark == "these are of t"
    for path in (asked, said):
        path.write_text(path.read_text().replace("Who", "Why").replace("I.", "We."), "utf-8")
    remarks = questions.questions(found).remark, questions.answers(found).remark
    for path, remark in zip((asked, said), remarks, strict=True):
        assert f"{path} was damaged or changed since it was completed" in str(remark)
    asked.unlink()
    assert "has lost its rows" in str(questions.questions(found).remark)
    (workplace / "t/done.json").write_text("[", encoding="utf-8")
    assert "done.json is damaged" in str(questions.answers(found).remark)


@pytest.mark.parametrize(
    "messages", ['"hi"', "[1]", "[{}]", '[{"content": "x"}]', '[{"role": 1}]', '[{"role": "user"}]']
)
def test_a_question_in_which_nobody_speaks_is_damaged(workplace: Path, messages: str) -> None:
    row = f'{{"id": "a", "messages": {messages}, "generator": "hardcoded", "writer": ""}}\n'
    (workplace / "stimuli.jsonl").write_text(row, encoding="utf-8")
    with pytest.raises(StageError, match=r"stimuli\.jsonl:1 is damaged: `messages` is "):
        read_rows(workplace / "stimuli.jsonl", Stimulus)


@pytest.mark.parametrize("ids", ['"7"', "[1.5]", "[true]", "[-1]", "[null]", '["7"]', "{}"])
def test_ids_that_are_none_are_damaged(workplace: Path, ids: str) -> None:
    row = (
        f'{{"stimulus_id": "a", "sample": 0, "response_ids": {ids}, "text": "", "finish": "stop"}}'
    )
    (workplace / "trajectories.jsonl").write_text(row + "\n", encoding="utf-8")
    with pytest.raises(StageError, match=r"trajectories\.jsonl:1 is damaged: `response_ids` is "):
        read_rows(workplace / "trajectories.jsonl", Trajectory)


DONE = [
    '{"count": "1"}', '{"count": 1, "digest": 5}', '{"count": 1, "digest": "a"}', "[]", "[" * 9_000,
    '{"count": 1, "digest": "a", "notes": {}, "seconds": 1}', '{"count": 1e999}', "",
]  # fmt: skip


@pytest.mark.parametrize("text", DONE, ids=lambda text: text[:40])
def test_what_rows_say_of_themselves_may_be_damaged(workplace: Path, text: str) -> None:
    rows_of(workplace / "s", "stimuli.jsonl", ASKED)
    (workplace / "s/done.json").write_text(text, encoding="utf-8")
    with pytest.raises(StageError, match=r"done\.json is damaged") as caught:
        results.rows_done(workplace / "s")
    assert "what is there is kept" in str(caught.value.hint)


JOURNALS = {
    "nothing": b"",
    "a list": b"[]",
    "deep": b"[" * 100_000,
    "not UTF-8": b"\xff\xfe",
    "another action": b'{"schema": 1, "action": "format", "bake_id": "a", "repository": "b", '
    b'"branch": "c", "head": "d"}',
    "a number for text": b'{"schema": 1, "action": "record", "bake_id": 5, "repository": "b", '
    b'"branch": "c", "head": "d"}',
    "a schema in superscript": '{"schema": "\u00b9"}'.encode(),
    "a key twice": b'{"schema": 1, "schema": 1}',
}


@pytest.mark.parametrize("data", JOURNALS.values(), ids=JOURNALS)
def test_a_damaged_journal_is_named(workplace: Path, data: bytes) -> None:
    path = workplace / "a.json"
    path.write_bytes(data)
    with pytest.raises(RepoError, match=r"a\.json cannot be read"):
        Journal.read(path)


LOCKS = [b"", b"[]", b"[" * 100_000, b'{"process": 5}', b'{"process": {}}', b"\xff"]


@pytest.mark.parametrize("data", LOCKS, ids=lambda data: data[:12])
def test_who_holds_a_lock_may_be_damaged(workplace: Path, data: bytes) -> None:
    store = Store(workplace / "store")
    place = store.root / "locks"
    place.mkdir(parents=True)
    (place / "bake-a.json").write_bytes(data)
    assert store.held_since(store.bake("a")) is None


def test_a_lock_that_git_left_is_said_with_the_command(repo: ModelRepo) -> None:
    lock = repo.git.git_dir / "index.lock"
    lock.touch()
    with pytest.raises(RepoError, match=r"index\.lock is there") as caught:
        repo.git.run("update-index", "--add", "input.yml")
    assert f"`rm {lock}`" in str(caught.value.hint)
    assert list(left.told(repo.root, repo.git.git_dir)) == []  # just made: git may be at work
    os.utime(lock, (0, 0))
    (repo.root / ".merge_file_Ab12cd").touch()
    os.utime(repo.root / ".merge_file_Ab12cd", (0, 0))
    first, second = left.told(repo.root, repo.git.git_dir)
    assert f"`rm {lock}` lets git go on" in first
    assert "`rm .merge_file_Ab12cd`" in second


def test_a_lock_is_named_where_a_verb_of_git_does_not(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.root)
    lock = repo.git.git_dir / "index.lock"
    lock.touch()
    merged = typed("merge", "--no-ff", "--no-edit", "HEAD")
    assert merged.returncode == 0  # there was nothing to do
    assert "lock" not in merged.stderr
    refused = typed("rm", "-q", "--cached", "input.yml")
    assert refused.returncode == 128
    assert f"hint: {lock} is there. Where no git works" in refused.stderr
    lock.unlink()
    assert "lock" not in typed("rm", "-q", "--cached", "no-such-file").stderr


def test_a_draft_is_left_when_its_process_is_gone_whatever_its_number(workplace: Path) -> None:
    dead = workplace / f".export.{os.getpid()}.tmp"  # of this very number, before a restart
    dead.mkdir()
    os.utime(dead, (0, 0))
    fresh = workplace / ".export.1.tmp"  # of a process of number 1 in another container
    fresh.mkdir()
    with drafts.draft(workplace, "export") as one:
        assert not dead.exists()
        assert fresh.exists()
        os.utime(one, (0, 0))
        with drafts.draft(workplace, "export") as two:
            assert one.exists()
            assert one != two
    assert time.time() - fresh.stat().st_mtime < 60
    assert sorted(workplace.glob(".export.*")) == [fresh]


SIDE: dict[str, Any] = {"messages": []}


@pytest.mark.parametrize(
    "target",
    [
        "x",
        {"teacher": SIDE, "student": SIDE},
        {"name": "a", "teacher": SIDE},
        {"name": "a", "teacher": SIDE, "student": "x"},
        {"name": "a", "teacher": {"messages": ["x"]}, "student": SIDE},
    ],
)
def test_what_the_bakery_command_left_may_be_damaged(tmp_path: Path, target: Any) -> None:
    whole = {"name": "a", "teacher": SIDE, "student": SIDE}
    for targets, is_whole in ([whole], True), ([whole, target], False):
        baked = {"targets": targets, "dtype": "float32", "template_kwargs": {}}
        (tmp_path / RESULTS).write_text(json.dumps({"baked": baked}), encoding="utf-8")
        if is_whole:
            found = outputs.beside(tmp_path / FINAL)
            assert found is not None
            assert list(found.targets) == targets
        else:
            with pytest.raises(ModelError, match="is damaged: `baked` lacks"):
                outputs.beside(tmp_path / FINAL)
