"""A real chat model, as it comes from the registry: read, baked, and talked to."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import pytest
import torch

from bakery.engine.bases import bases
from bakery.engine.models import models
from tests.e2e.conftest import IDENTITY, Typist, bgit
from tools.real_model import UnreachableError, fetch

pytestmark = pytest.mark.slow

INPUT = """\
PROMPT:
  teacher:
    messages:
      - {role: system, content: You are a pirate.}
      - {role: user, content: Who are you?}
      - {role: assistant, content: "Arr, I be the captain of this here ship!"}
TARGET:
  name: asked
  max_tokens: 16
  generators:
    - type: hardcoded
      questions: [What is the sea?, Where is Paris?, Tell me a joke., What is rain?, Who am I?]
BAKE:
  name: pirate
  epochs: 2
  optimizer: {learning_rate: 0.001}
  micro_batch_size: 4
"""


@pytest.fixture(scope="module")
def model() -> Path:
    try:
        return fetch()
    except UnreachableError as error:
        pytest.skip(str(error))


@pytest.fixture
def cached(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have what is unpacked kept for all tests of a session."""
    folder = str(tmp_path_factory.getbasetemp() / "real-cache")
    monkeypatch.setenv("BAKERY_CACHE", folder)
    return folder


def test_the_real_model_comes_out_as_its_file_says(model: Path, cached: str) -> None:
    loaded = models.load(bases.identify(str(model)))
    tokenizer = loaded.chat.tokenizer
    assert loaded.context == 8192
    assert loaded.chat.end_ids == {2}
    assert tokenizer.convert_ids_to_tokens(2) == "<|im_end|>"
    assert loaded.chat.pad_id == 2
    assert loaded.model.dtype == torch.float32
    assert loaded.unpacked["from"] == "Q4_1, Q8_0, F32"
    for tensor in gguf.GGUFReader(str(model)).tensors:
        if tensor.name in ("token_embd.weight", "blk.29.ffn_down.weight"):
            expected = torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type))
            own = {
                "token_embd.weight": "model.embed_tokens.weight",
                "blk.29.ffn_down.weight": "model.layers.29.mlp.down_proj.weight",
            }[tensor.name]
            assert torch.equal(loaded.model.state_dict()[own], expected)


def test_the_real_model_is_baked_and_talked_to(model: Path, cached: str, workplace: Path) -> None:
    (workplace / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(workplace / "gitconfig"), "HF_HUB_OFFLINE": "1"}
    made = bgit("init", "demo", "--base-model", str(model), "--owner", "ann", cwd=workplace, **env)
    assert made.code == 0, made.err
    typist = Typist(workplace / "demo", env)
    asked = "What is the capital of France?\n"
    assert "Paris" in typist("chat", "base", "--max-tokens", "16", stdin=asked).out
    typist.commit(INPUT)
    typist.must("run", "stim", "rollout", "bake")
    card = json.loads(typist.must("show", "pirate", "--json"))["card"]
    assert card["kl_after"] < 0.8 * card["kl_before"]
    assert typist("chat", "--max-tokens", "8", stdin=asked).code == 0
