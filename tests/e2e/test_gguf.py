"""A base in one GGUF file, at both doors: everything that works on a folder works on it."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import gguf
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM

from bakery.engine.bases.gguf import kept
from bakery.identity import file_digest
from tests.e2e.conftest import IDENTITY, Typist, bgit, copied, input_yml
from tests.support.bakery_door import SMALL, bakery_script, results, spawned, typed
from tests.support.gguf_models import as_gguf, random_model

Q8_0 = gguf.GGMLQuantizationType.Q8_0
STORED = "Q8_0, F32"
IDS = torch.arange(3, 43).reshape(2, 20)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What every command of this file is given: a cache for all of them, git's identity."""
    folder = tmp_path_factory.mktemp("gguf")
    (folder / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    return {
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "HF_HUB_OFFLINE": "1",
        "BAKERY_CACHE": str(folder / "cache"),
    }


@pytest.fixture(scope="module")
def model(env: dict[str, str]) -> Path:
    """Return a quantised model in a file."""
    return as_gguf(Path(env["BAKERY_CACHE"]).with_name("small.gguf"), stored=Q8_0)


@pytest.fixture(scope="module")
def made(model: Path, env: dict[str, str]) -> tuple[Typist, str]:
    """Return a repository with one bake on the file, and what its run told; for copies only."""
    done = bgit(
        "init", "demo", "--base-model", model.name, "--owner", "ann", cwd=model.parent, **env
    )
    assert done.code == 0, done.err
    typist = Typist(model.parent / "demo", env)
    typist.commit(input_yml(), "Configure first")
    ran = typist("run", "stim", "rollout", "bake")
    assert ran.code == 0, ran.err
    return typist, ran.err


@pytest.fixture
def baked(made: tuple[Typist, str], workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """Return a copy of the test's own, whose process sees the same cache."""
    monkeypatch.setenv("BAKERY_CACHE", made[0].env["BAKERY_CACHE"])
    return copied(made[0], workplace / "demo")


def folder_of(model: Path) -> Path:
    return kept.place(file_digest(model))


def test_the_first_run_says_that_it_unpacks_and_no_later_one_does(made, baked, model):
    told = made[1]
    assert f"note: de-quantising small.gguf ({STORED}) to float32: once, kept in " in told
    assert "unpack: 21/21 in" in told
    assert "it/s" not in told  # no bars of transformers
    again = baked("reproduce", "first", "--force")
    assert again.code == 0, again.err
    assert "de-quantising" not in again.err
    assert "Every digest matches the recorded one." in again.out


def test_what_was_unpacked_is_recorded_and_shown_and_in_no_id(baked, model):
    found = json.loads(baked.must("show", "first", "--json"))
    assert found["base"] == {
        "name": str(model),
        "revision": "",
        "digest": file_digest(model),
        "family": "llama",
        "hidden_size": 32,
        "beside": "",
    }
    assert found["versions"]["base"]["from"] == STORED
    assert re.fullmatch(r"transformers 5.*, gguf 0.*", found["versions"]["base"]["by"])
    shown = baked.must("show", "first")
    assert re.search(rf"base\.from\s+{STORED}\n", shown)
    assert re.search(r"base\.to\s+float32\n", shown)


def test_an_adapter_names_what_peft_can_load(baked, model):
    baked.must("download", "first", "--out", "out")
    said = json.loads((baked.root / "out/adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(folder_of(model))
    (stored,) = baked.store.glob("bake/*/[0-9]*")
    for folder in (baked.root / "out", stored):
        loaded = AutoPeftModelForCausalLM.from_pretrained(str(folder))
        assert loaded(IDS).logits.shape == (2, 20, 263)
    baked.must("download", "first", "--merged", "--out", "whole")
    merged = AutoModelForCausalLM.from_pretrained(str(baked.root / "whole"))
    assert torch.allclose(merged(IDS).logits, loaded(IDS).logits, atol=1e-4)
    (line,) = [x for x in (baked.root / "out/README.md").read_text().splitlines() if STORED in x]
    assert f"a GGUF file of that SHA-256, unpacked from {STORED} to float32 by" in line


@pytest.mark.parametrize("name", ["out", "file"])
def test_it_is_talked_to_by_any_of_its_names(name, baked, model):
    if name == "out":
        baked.must("download", "first", "--out", "out")
    asked = str(model) if name == "file" else name
    done = baked("chat", asked, "--max-tokens", "4", stdin="Who?\n")
    assert done.code == 0, done.err


def test_a_clone_takes_the_weights(baked, workplace, model):
    baked.git("clone", "-q", ".", str(workplace / "clone"))
    clone = Typist(workplace / "clone", baked.env)
    clone.must("import", str(baked.root))
    (stored,) = clone.store.glob("bake/*/[0-9]*")
    said = json.loads((stored / "adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(folder_of(model))


@pytest.mark.slow
def test_a_file_that_was_moved_is_found_where_bread_says(baked, workplace, model):
    moved = workplace / "moved.gguf"
    moved.write_bytes(model.read_bytes())
    text = baked.read(".bread")
    baked.write(text.replace(str(model), str(workplace / "gone.gguf")), ".bread")
    baked.git("commit", "-qam", "Gone")
    lost = baked("chat", "base")
    assert lost.code == 5
    assert f"there is no file {workplace / 'gone.gguf'}" in lost.err
    assert "write its new place as base_model in .bread" in lost.err
    baked.write(text.replace(str(model), str(moved)), ".bread")
    baked.git("commit", "-qam", "Moved")
    assert baked("chat", "first", "--max-tokens", "4", stdin="Who?\n").code == 0


INPUT = """\
PROMPT:
  teacher:
    messages: [{role: system, content: "SHOUT!"}]
TARGET:
  name: asked
  max_tokens: 4
  model_name: ./other.gguf
  generators:
    - {type: custom, model: models/writer.gguf, template_path: ask.j2, numq: 2, max_tokens: 8}
    - {type: hardcoded, questions: [Who?, What?]}
"""


@pytest.mark.slow
def test_another_file_writes_questions_and_answers_them(baked):
    (baked.root / "models").mkdir()
    as_gguf(baked.root / "models/writer.gguf", model=random_model("llama", seed=2))
    other = as_gguf(baked.root / "other.gguf", model=random_model("llama", seed=1))
    baked.write(INPUT)
    baked.write("Ask me.", "ask.j2")
    baked.git("add", "input.yml", "ask.j2")
    done = baked("run", "stim", "rollout")
    assert "unpacking other.gguf (F32) to float32" in done.err
    assert "unpacking writer.gguf (F32) to float32" in done.err
    assert done.code == 0, done.err
    found = json.loads(baked.must("rollout", "--json"))["answers"]
    assert {row["model"] for row in found} == {"./other.gguf"}
    as_gguf(other, model=random_model("llama", seed=3))
    for file in baked.store.glob("target/*/done.json"):
        file.unlink()
    changed = baked("run", "rollout")
    assert changed.code == 5
    assert "./other.gguf has changed since it answered" in changed.err


CONFIG = """\
prefix_messages:
  - {role: system, content: SHOUT!}
dataset: rows.json
output_dir: out
num_train_epochs: 1
report_to: none
"""


@pytest.fixture
def given(env, model, workplace, monkeypatch) -> tuple[str | Path, ...]:
    """Return a command line of the other door, for the same file by a relative path."""
    monkeypatch.setenv("BAKERY_CACHE", env["BAKERY_CACHE"])
    (workplace / "bake.yaml").write_text(CONFIG)
    (workplace / "rows.json").write_text('["Who?", "What?", "Where?", "Why?"]')
    name = os.path.relpath(model, workplace)
    return ("--config", "bake.yaml", "--model_name_or_path", name, *SMALL)


def test_the_other_door_looks_bakes_and_merges_on_a_file(given, model, capsys):
    looked = typed(capsys, *given, "--dry-run")
    assert looked.code == 0, looked.err
    assert f"model    {model}" in looked.out
    done = typed(capsys, *given, "--merge", "true")
    assert done.code == 0, done.err
    out, folder = Path("out"), folder_of(model)
    assert f'AutoModelForCausalLM.from_pretrained("{folder}")' in done.out
    said = json.loads((out / "final_model/adapter_config.json").read_text())
    assert said["base_model_name_or_path"] == str(folder)
    assert results(out)["model"] == str(model)
    assert results(out)["versions"]["base"]["from"] == STORED
    adapter = AutoPeftModelForCausalLM.from_pretrained(str(out / "final_model"))
    merged = AutoModelForCausalLM.from_pretrained(str(out / "merged"))
    assert torch.allclose(merged(IDS).logits, adapter(IDS).logits, atol=1e-4)


@pytest.mark.slow
def test_the_other_door_unpacks_where_that_was_not_done(given, tmp_path, monkeypatch):
    monkeypatch.setenv("BAKERY_CACHE", str(tmp_path / "empty"))
    done = spawned([bakery_script(), *given, "--dry-run"], Path.cwd())
    assert done.code == 0, done.err
    assert f"note: de-quantising small.gguf ({STORED}) to float32: once, kept in" in done.err
    assert "it/s" not in done.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "is a git-lfs pointer"),
        (None, "no such file or folder: odd.gguf"),
    ],
)
def test_the_other_door_refuses_what_is_no_base_before_it_reads_data(content, told, given, capsys):
    if content is not None:
        Path("odd.gguf").write_bytes(content)
    words = ("--model_name_or_path", "odd.gguf", "--dataset", "org/not-asked-for")
    refused = typed(capsys, *given, *words)
    assert refused.code == (5 if content else 2)
    assert told in refused.err


def test_without_the_package_the_other_door_says_what_installs_it(given, workplace):
    code = "import sys; sys.modules['gguf'] = None; from bakery.cli.bakery import main; main()"
    done = spawned([sys.executable, "-c", code, *given], workplace)
    assert done.code == 5
    assert "hint: `pip install gguf`" in done.err
    assert not (workplace / "out").exists()
