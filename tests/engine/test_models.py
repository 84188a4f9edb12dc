"""The base that was recorded is the base that is loaded, or it is refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, Qwen2VLConfig

from bakery.backends.local import LocalModel
from bakery.engine.bases import bases
from bakery.engine.models import models
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId, SamplingSettings
from bakery.records import Prompt
from tests.support.models import make_model, random_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return random_model(tmp_path / "model")


def test_a_local_folder_loads_by_its_path(folder: Path) -> None:
    base = bases.identify(str(folder))
    assert base.name == str(folder)
    assert models.load(base).context == 512


def test_the_alias_is_the_embedded_model_and_loads_like_any_other() -> None:
    base = bases.identify("tiny")
    assert base == bases.identify("tiny-1")
    assert base.name == "tiny-1"
    loaded = models.load(base, dtype="float32")
    assert loaded.model.dtype == torch.float32
    assert loaded.model.config.model_type == "qwen3"


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"]
)
def test_a_base_whose_content_changed_is_refused(folder: Path, name: str) -> None:
    base = bases.identify(str(folder))
    path = folder / name
    if name == "model.safetensors":
        make_model(folder, seed=1)
    elif name == "config.json":
        path.write_text(json.dumps({**json.loads(path.read_text()), "rms_norm_eps": 0.5}))
    else:
        path.write_text(path.read_text() + " ")
    with pytest.raises(ModelError, match="has changed"):
        models.load(base)


def test_the_library_version_in_a_config_is_no_change(folder: Path) -> None:
    base = bases.identify(str(folder))
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "transformers_version": "9.9"}))
    assert bases.content_digest(folder) == base.digest


def test_a_copy_elsewhere_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    assert bases.identify(str(random_model(tmp_path / "copy"))).digest == (
        bases.identify(str(folder)).digest
    )


def test_other_architectures_load_the_same_way(tmp_path: Path) -> None:
    config = LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    base = bases.identify(str(make_model(tmp_path / "llama", config)))
    assert models.load(base).model.config.model_type == "llama"


def test_a_multimodal_model_is_refused_by_name(folder: Path) -> None:
    Qwen2VLConfig().save_pretrained(folder)
    with pytest.raises(ModelError, match=r"Qwen2VL model, not a text-only"):
        models.load(bases.identify(str(folder)))


def test_weights_that_are_not_safetensors_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no \*.safetensors"):
        bases.identify(str(folder))


@pytest.mark.parametrize("reference", ["./nowhere", "/nowhere", "nobody/no-such-model", "a b"])
def test_a_base_that_is_nowhere_is_a_clear_error(reference: str) -> None:
    with pytest.raises(ModelError, match=r"no base model|cannot be fetched|neither a folder"):
        bases.identify(reference)


def test_a_missing_folder_of_a_recorded_base_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no base model in the folder"):
        models.load(BaseModelId(str(tmp_path / "gone"), "", "0" * 64))


def test_a_prefix_longer_than_the_context_is_refused(folder: Path) -> None:
    local = LocalModel(models.load(bases.identify(str(folder))))
    prompt = Prompt(({"role": "system", "content": "x" * 600},))
    with pytest.raises(ConfigError, match="has a context of 512"):
        local.prefix(prompt, [{"role": "user", "content": "?"}], SamplingSettings(1, 16))
