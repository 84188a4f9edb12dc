"""A base in one GGUF file is known by its bytes, found by its path, and needs no tensors for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.app.model_card import Weights, readme, usage
from bakery.engine.bases import bases
from bakery.engine.bases.gguf import kept
from bakery.errors import ModelError
from bakery.identity import BaseModelId, file_digest
from bakery.records import ModelRef
from bakery.schema.model_names import kind_of
from tests.support.commands import PROGRAM, typed, typed_here
from tests.support.gguf_files import metadata, write

HEAVY = ("torch", "transformers", "peft", "gguf")


@pytest.fixture
def path(workplace: Path) -> Path:
    return write(workplace / "small.gguf")


def test_a_base_in_a_file_is_known_by_its_bytes(path):
    found = bases.identify(str(path))
    assert found == BaseModelId(str(path), "", file_digest(path), "llama", 32)
    assert bases.check(found) == path


@pytest.mark.parametrize("name", ["small.gguf", "./small.gguf", "../work/small.gguf"])
def test_a_relative_path_becomes_absolute(path, name):
    assert bases.identify(name).name == str(path)


def test_a_copy_elsewhere_is_the_same_model(path, workplace):
    copy = workplace / "other"
    copy.write_bytes(path.read_bytes())  # whatever it is called: its content says what it is
    assert bases.identify(str(copy)).digest == bases.identify(str(path)).digest


def test_a_file_in_a_cache_keeps_the_name_that_links_to_it(path, workplace):
    blob = workplace / "blobs" / file_digest(path)
    blob.parent.mkdir()
    path.rename(blob)
    path.symlink_to(blob)
    assert bases.identify("small.gguf").name == str(path)


def test_a_file_that_changed_is_another_model(path):
    base = bases.identify(str(path))
    write(path, metadata(**{"general.name": "another"}))
    with pytest.raises(ModelError, match="has changed: its digest is"):
        bases.check(base)


def test_a_file_that_was_moved_is_asked_for_by_its_new_place(path):
    base = bases.identify(str(path))
    path.rename(path.with_name("moved.gguf"))
    with pytest.raises(ModelError, match=f"there is no file {path}") as caught:
        bases.check(base)
    assert "write its new place as base_model in .bread" in str(caught.value.hint)


def test_a_file_has_no_revision(path):
    with pytest.raises(ModelError, match="it has no revision v1"):
        bases.identify("small.gguf", "v1")
    assert bases.split("there@home.gguf") == ("there@home.gguf", "")


def test_a_folder_of_files_says_which_there_are(path, workplace):
    with pytest.raises(ModelError, match=r"holds no config.json") as caught:
        bases.identify(str(workplace))
    assert str(path) in str(caught.value.hint)


def test_a_folder_that_a_file_was_unpacked_into_is_asked_for_by_the_file(path):
    base = bases.identify(str(path))
    assert bases.unpacked_at(base) == str(kept.place(base.digest))
    with pytest.raises(ModelError, match="no base model in the folder") as caught:
        bases.identify(str(kept.place(base.digest)))
    assert "give the file itself" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({}, "home/.cache/bakery"),
        ({"XDG_CACHE_HOME": "{tmp}/xdg"}, "xdg/bakery"),
        ({"XDG_CACHE_HOME": "relative"}, "home/.cache/bakery"),
        ({"XDG_CACHE_HOME": "{tmp}/xdg", "BAKERY_CACHE": "{tmp}/own"}, "own"),
        ({"BAKERY_CACHE": "~/own"}, "home/own"),
    ],
)
def test_unpacked_models_are_kept_in_the_users_cache(variables, root, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(tmp=tmp_path))
    assert kept.place("ab" * 32) == tmp_path / root / "gguf" / ("ab" * 8)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("small.gguf", "local"),
        ("models/small.gguf", "local"),
        ("a/b/small.gguf", "local"),
        ("hosted:small.gguf", "hosted"),
        ("org/small-GGUF", "local"),
        ("small", "word"),
    ],
)
def test_a_name_with_the_ending_is_a_model_of_this_machine(name, kind):
    assert kind_of(name) == kind


def test_init_says_what_will_be_unpacked_and_where(path, monkeypatch, tmp_path):
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "cache"))
    done = typed("init", "demo", "--base-model", "small.gguf", "--json")
    assert done.returncode == 0, done.stderr
    base = json.loads(done.stdout)["repository"]["base"]
    known = {"name": str(path), "revision": "", "digest": file_digest(path)}
    assert base == {**known, "family": "llama", "hidden_size": 32, "beside": ""}
    assert "note: small.gguf (F32) is unpacked to float32 when it is first loaded: " in done.stderr
    assert f"GB in {tmp_path / 'cache/gguf' / file_digest(path)[:16]}" in done.stderr
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer"),
        (b"GGUF", "is GGUF version 0"),
        (None, "there is no file"),
    ],
)
def test_init_refuses_what_is_no_base_before_it_makes_anything(content, told, workplace):
    if content is not None:
        (workplace / "odd.gguf").write_bytes(content)
    done = typed("init", "demo", "--base-model", "odd.gguf")
    assert done.returncode == 5
    assert told in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (workplace / "demo").exists()


def test_without_the_package_that_reads_it_the_line_that_installs_it_is_said(path):
    blocked = f"import sys; sys.modules['gguf'] = None; {PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "init", "demo", "--base-model", "small.gguf"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 5
    assert "the package gguf, which reads it, is not installed" in done.stderr
    assert "hint: `pip install gguf`" in done.stderr
    assert not Path("demo").exists()


INPUT = """\
PROMPT:
  teacher:
    messages: [{role: system, content: Whisper.}]
TARGET:
  generators: [{type: hardcoded, questions: [Who?, What?, When?, Where?, Why?]}]
BAKE:
  name: first
"""


@pytest.mark.parametrize("command", ["status", "check", "tree", "models", "show base"])
def test_looking_at_a_repository_on_a_file_wakes_no_tensors(path, command, monkeypatch):
    assert typed_here("init", "demo", "--base-model", "small.gguf").exit_code == 0
    monkeypatch.chdir("demo")
    Path("input.yml").write_text(INPUT, encoding="utf-8")
    assert typed_here("add", "input.yml").exit_code == 0
    program = (
        f"import sys\nsys.argv[1:] = {command.split()!r}\n"
        f"try:\n    from bakery.cli.app import bgit; bgit(prog_name='bgit')\n"
        f"finally:\n    print('awake:', [n for n in {HEAVY!r} if n in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("awake: []\n"), done.stdout + done.stderr
    assert done.returncode == 0, done.stderr


WEIGHTS = Weights(
    ModelRef("ann", "tale", f"yoda_{'a' * 16}", 12),
    BaseModelId("/models/small.gguf", "", "e" * 64),
    48,
    "d" * 64,
    {
        "targets": [],
        "versions": {"base": {"from": "Q4_1, F32", "to": "float32", "by": "transformers 5"}},
    },
    None,
    "/cache/gguf/eeeeeeeeeeeeeeee",
)


def test_an_export_names_the_folder_that_other_programs_load():
    commands = dict(usage(WEIGHTS, "out"))
    assert 'from_pretrained("/cache/gguf/eeeeeeeeeeeeeeee")' in commands["PEFT"]
    assert "vllm serve /cache/gguf/eeeeeeeeeeeeeeee --enable-lora" in commands["vLLM"]
    assert commands["llama.cpp, Ollama"] == f"bgit download {WEIGHTS.model.bake} --format gguf"


def test_an_export_says_how_its_base_was_unpacked():
    said = readme(WEIGHTS, "out")
    assert "| base model | `/models/small.gguf` |" in said
    assert "unpacked from Q4_1, F32 to float32 by transformers 5; bakery keeps that in" in said
    assert "base_model:" not in said
