"""Odd values and odd places: each is refused in words, and none ends in a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bakery.cli import rim
from bakery.data import qa_files, reader, sources
from bakery.distil.settings import parse
from bakery.engine.bases import bases
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError, StageError
from bakery.paths import expanded
from bakery.repo.git import Git
from bakery.store.store import Store
from bakery.yaml import text as yaml_text

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("path", ["~nosuchuser/x", "a\0b"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"no home of ~nosuchuser|a NUL character"):
        expanded(path)


def test_a_store_in_nobodys_home_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("BGIT_STORE", "~nosuchuser/x")
    with pytest.raises(ConfigError, match="there is no home of ~nosuchuser"):
        Store.beside(tmp_path / ".git")


@pytest.mark.parametrize("name", ["dataset", "eval_file", "corpus_file", "model_name_or_path"])
def test_every_path_of_a_configuration_may_be_of_nobody(tmp_path: Path, name: str) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(f"{name}: ~nosuchuser/x\n")
    with pytest.raises(BakeryError, match="no home of ~nosuchuser"):
        parse.parse(["--config", str(path)])


@pytest.mark.parametrize("value", ["maybe", "7", "[x]", "{a: 1}", "hosted:x", "1.5"])
def test_a_value_that_is_no_yes_or_no_is_told_with_its_place(tmp_path: Path, value: str) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(f"model_name_or_path: tiny-1\ngroup_by_length: {value}\n")
    with pytest.raises(ConfigError, match=r"b\.yaml:2:\d+: group_by_length: expected true or"):
        parse.parse(["--config", str(path)])


def test_json_that_is_nested_without_end_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "eval.json"
    path.write_text(DEEP)
    with pytest.raises(StageError, match="this JSON cannot be read"):
        qa_files.load_eval_data(path)
    with pytest.raises(StageError, match="this JSON cannot be read"):
        sources.items_of(DEEP, "corpus.json", ())
    call = {"function": {"name": "f", "arguments": DEEP}}
    said = [{"role": "user", "content": "?"}, {"role": "assistant", "tool_calls": [call]}]
    [row] = reader.rows_of_table(sources.Table("rows.jsonl", ((1, {"messages": said}),)))
    assert row.turns[1]["tool_calls"][0]["function"]["arguments"] == DEEP
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for record in ({"prompt": deep}, {"messages": deep}, {"prompt": "?", "tools": deep}):
        table = sources.Table("data.jsonl", ((1, record),))
        with pytest.raises(StageError, match=r"data\.jsonl: row 1: "):
            reader.rows_of_table(table)


# Windows has no pipes among its files.
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "nowhere"])
def test_weights_that_are_no_file_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    (tmp_path / "config.json").write_text("{}")
    make = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "nowhere": lambda: path.symlink_to("gone"),
    }
    make[kind]()
    with pytest.raises(ModelError, match=r"model\.safetensors is a folder, a pipe or a device"):
        bases.content_digest(tmp_path)


# Windows has no pipes among its files.
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.csv", "x.parquet"])
def test_data_that_never_ends_is_not_read(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / name, tmp_path / f"link-{name}"):
        if path.name.startswith("link"):
            path.symlink_to("/dev/zero")
        else:
            os.mkfifo(path)
        with pytest.raises(ConfigError, match="a pipe or a device"):
            sources.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\nd: [*c, *c, *c]\n" * 3,
        "".join(
            f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10 if n else ['x'])}]\n" for n in range(12)
        ),
    ],
    ids=["twice", "bomb"],
)
def test_aliases_that_stand_for_more_than_memory_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        yaml_text.parse(text, "input.yml")


def test_a_line_break_in_a_path_is_no_old_git(tmp_path: Path) -> None:
    folder = tmp_path / "new\nline"
    folder.mkdir()
    with pytest.raises(RepoError, match="a line break in it"):
        Git.init(folder)


def test_a_command_in_a_folder_that_is_gone_says_so(tmp_path: Path, monkeypatch, capsys) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SystemExit) as ended:
        rim.end(lambda: 0, stopped="")
    os.chdir(tmp_path)
    assert ended.value.code == 3
    assert "started in is gone" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
def test_what_a_system_has_no_more_of_is_told(number: int, capsys) -> None:
    def work() -> int:
        raise OSError(number, os.strerror(number))

    with pytest.raises(SystemExit) as ended:
        rim.end(work, stopped="")
    assert ended.value.code == 3
    assert "error: " in capsys.readouterr().err
