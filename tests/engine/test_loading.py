"""The bakery door's model and adapter: the named model, the seeded start, refusals that help."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from bakery.distil import loading
from bakery.engine.models import models
from bakery.engine.training import needs
from bakery.errors import ModelError
from bakery.settings.config import BakeryConfig, DataConfig, LoraConfig
from tests.support.models import random_model


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    folder = random_model(tmp_path / "model")
    return DataConfig(model_name_or_path=str(folder), torch_dtype="float32")


def test_the_adapter_starts_from_the_seed_whatever_was_drawn_before(data, tmp_path):
    starts = []
    for drawn, seed in ((1, 7), (5, 7), (1, 8)):
        training = BakeryConfig(output_dir=str(tmp_path), seed=seed)
        source = loading.find(data)
        model = loading.load(source, data, training)
        torch.rand(drawn)
        student = loading.with_adapter(model, LoraConfig(r=4, lora_alpha=8), source, data, training)
        starts.append(torch.cat([p.flatten() for p in student.parameters() if p.requires_grad]))
    assert torch.equal(starts[0], starts[1])
    assert not torch.equal(starts[0], starts[2])


def test_a_saved_adapter_names_the_model_and_not_the_cache_it_came_from(data, tmp_path):
    training = BakeryConfig(output_dir=str(tmp_path))
    files = loading.find(data)
    source = models.Source("org/model", files.files, files.options)
    model = loading.load(source, data, training)
    student = loading.with_adapter(model, LoraConfig(r=4, lora_alpha=8), source, data, training)
    assert student.active_peft_config.base_model_name_or_path == "org/model"


def test_only_the_adapter_learns(data, tmp_path):
    training = BakeryConfig(output_dir=str(tmp_path))
    source = loading.find(data)
    model = loading.load(source, data, training)
    student = loading.with_adapter(model, LoraConfig(r=4, lora_alpha=8), source, data, training)
    learning = [name for name, p in student.named_parameters() if p.requires_grad]
    assert learning
    assert all("lora_" in name for name in learning)


def test_a_model_that_also_sees_is_refused(data):
    folder = Path(data.model_name_or_path)
    (folder / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(ModelError, match="not a text-only causal language model"):
        loading.find(data).config()


def test_a_folder_without_safetensors_is_refused(data, tmp_path):
    (Path(data.model_name_or_path) / "model.safetensors").unlink()
    training = BakeryConfig(output_dir=str(tmp_path))
    with pytest.raises(ModelError, match=r"holds neither model\.safetensors nor"):
        loading.load(loading.find(data), data, training)


def test_the_embedded_model_is_found_by_its_alias():
    source = loading.find(DataConfig(model_name_or_path="tiny"))
    assert (Path(source.files) / "config.json").is_file()
    assert source.name == source.files


def test_without_flash_attention_the_models_own_is_taken(data, tmp_path):
    if importlib.util.find_spec("flash_attn") is not None:
        pytest.skip("flash-attn is installed here")
    training = BakeryConfig(output_dir=str(tmp_path))
    own = loading.load(loading.find(data), data, training).config._attn_implementation
    data.attn_implementation = "flash_attention_2"
    model = loading.load(loading.find(data), data, training)
    assert model.config._attn_implementation == own
    (note,) = needs.other_attention(data.attn_implementation, "attn_implementation")
    assert "the base model's own attention does the same" in note
