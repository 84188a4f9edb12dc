"""Which model a name means in a chat, and what it is compared with; nothing is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bakery.app import chat, meaning
from bakery.cli.app import bgit
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support import recorded
from tests.support.model_folders import model_folder


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A model repository, stood in, with one bake whose weights are not here."""
    made = recorded.made(workplace / "yoda")
    monkeypatch.chdir(made.root)
    recorded.baked(made, "pirate")
    return made


def adapter(folder: Path, **config: object) -> Path:
    """Write a folder that looks like an adapter's."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def test_the_base_is_meant_by_its_name_and_by_base(repo):
    for name in ("base", "tiny-1", "tiny"):
        meant = meaning.find(repo, name)
        assert (meant.name, meant.folder, meant.bake) == ("tiny-1", None, None)


def test_outside_of_a_repository_a_name_is_a_base(workplace):
    assert meaning.find(None, "tiny").name == "tiny-1"
    with pytest.raises(ModelError, match="no base model in the folder"):
        meaning.find(None, "./nowhere")


def test_the_folder_of_a_model_is_meant_inside_of_a_repository_too(repo):
    folder = model_folder(repo.root / "merged")
    meant = meaning.find(repo, "merged")
    assert (meant.name, meant.folder, meant.bake) == (str(folder), None, None)


def test_weights_that_are_not_here_are_told_before_anything_is_loaded(repo):
    for name in ("parent", "pirate"):
        with pytest.raises(ModelError, match="are not in this clone's store"):
            meaning.find(repo, name)


def test_an_unknown_name_is_answered_with_those_that_are_there(repo):
    with pytest.raises(RepoError, match="there is no model 'pirat'") as caught:
        meaning.find(repo, "pirat")
    assert "ann/yoda/pirate_" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["x" * 5000, "~nobody-here/x", "a\0b", "", "😀"])
def test_a_name_that_can_be_no_path_is_an_unknown_name(repo, name):
    with pytest.raises(BakeryError):
        meaning.find(repo, name)


def test_an_adapters_folder_says_on_which_base_it_is(workplace):
    folder = adapter(workplace / "mine", base_model_name_or_path="tiny")
    meant = meaning.find(None, "mine")
    assert (meant.name, meant.base.name, meant.folder) == (str(folder), "tiny-1", folder)


def test_in_a_store_the_bake_says_on_which_base_an_adapter_is(workplace):
    folder = adapter(workplace / "bake" / "12")
    base = {"name": "tiny-1", "revision": "", "digest": "ab" * 32}
    (folder.parent / "bake.json").write_text(json.dumps({"base": base}), encoding="utf-8")
    assert meaning.find(None, str(folder)).base.digest == "ab" * 32


@pytest.mark.parametrize("text", ["{}", '{"base": []}', '{"base": {"name": 1}}', "[]"])
def test_a_damaged_bake_json_is_an_error(workplace, text):
    folder = adapter(workplace / "bake" / "30", base_model_name_or_path="tiny-1")
    (workplace / "bake" / "bake.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"bake\.json is damaged"):
        meaning.find(None, str(folder))


@pytest.mark.parametrize("targets", [[1], [{"name": "x"}], [{"teacher": {}, "student": {}}]])
def test_damaged_targets_of_a_bake_json_are_an_error(workplace, targets):
    folder = adapter(workplace / "bake" / "30", base_model_name_or_path="tiny-1")
    base = {"name": "tiny-1", "revision": "", "digest": "0" * 64, "of_a_later_version": 1}
    (workplace / "bake" / "bake.json").write_text(json.dumps({"base": base, "targets": targets}))
    with pytest.raises(ModelError, match=r"bake\.json is damaged: its targets"):
        meaning.taught(meaning.find(None, str(folder)))


def test_the_base_of_an_adapter_may_be_given(workplace):
    folder = adapter(workplace / "mine", base_model_name_or_path="./moved/away")
    assert meaning.find(None, str(folder), base="tiny").base.name == "tiny-1"
    with pytest.raises(ModelError, match="the base of the adapter in") as caught:
        meaning.find(None, str(folder))
    assert "--base-model" in str(caught.value.hint)


def test_an_adapter_is_read_from_safetensors_alone(workplace):
    folder = adapter(workplace / "mine", base_model_name_or_path="tiny")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"holds no adapter_model\.safetensors"):
        meaning.find(None, str(folder))


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_adapter_is_an_error(workplace, text):
    folder = adapter(workplace / "mine")
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=r"adapter_config\.json is damaged"):
        meaning.find(None, str(folder))


def meant(repo: ModelRepo) -> meaning.Meant:
    """The bake of the repository, as if its weights were here."""
    bake = repo.find_model("pirate")
    assert bake is not None
    return meaning.Meant(str(bake.model), repo.state().base, repo.root, bake)


def test_a_bake_is_compared_with_what_it_was_taught(repo):
    taught, names = meaning.prompts(meant(repo))
    assert taught.teacher.messages[0]["content"] == "You are pirate."
    assert taught.student.messages == ()
    assert names == [taught.target]
    assert meaning.prompts(meant(repo), "pirate_target")[0] == taught


def test_another_target_than_a_bakes_own_is_refused(repo):
    with pytest.raises(ConfigError, match="has no target 'parrot'") as caught:
        meaning.prompts(meant(repo), "parrot")
    assert "pirate_target_" in str(caught.value.hint)


def test_a_base_has_no_strength(repo):
    with pytest.raises(ConfigError, match="carries no bake"):
        chat.voices(meaning.find(repo, "base"), strength=0.5, reporter=Quiet())


@pytest.mark.parametrize(
    "words",
    [("--strength", "nan"), ("--temperature", "nan"), ("--top-p", "nan"), ("--temperature", "3")],
)
def test_what_is_no_setting_is_refused_before_anything_is_looked_for(workplace, words):
    done = CliRunner().invoke(bgit, ["chat", "nothing", *words], input="Who?\n")
    assert done.exit_code == 2
    assert "Invalid value for '--" in done.stderr
