"""Small random models with a real tokenizer and template, made on the spot."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from tests.support.vocabulary import CHATML, SPECIALS, byte_vocabulary

THINKING = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{{ m['content'].split('</think>')[-1] if m['role'] == 'assistant' else m['content'] }}"
    "<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}"
)


def byte_tokenizer(template: str = CHATML, merges: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """One token a byte, and one a merge, three special tokens, and a chat template."""
    pairs = [(left, right) for left, right in (merge.split(" ") for merge in merges)]
    tokens = [*byte_vocabulary(), *(left + right for left, right in pairs)]
    tokenizer = Tokenizer(BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=pairs))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIALS[0], eos_token=SPECIALS[2]
    )
    fast.chat_template = template
    return fast


def qwen3_config(**changes: object) -> Qwen3Config:
    """A two-layer Qwen3 that any CPU runs in milliseconds."""
    settings: dict[str, object] = {
        "vocab_size": 259,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    }
    return Qwen3Config(**{**settings, **changes})


def make_model(
    folder: Path, config: PreTrainedConfig | None = None, *, template: str = CHATML, seed: int = 0
) -> Path:
    """Write a random model with its tokenizer to a folder, as a hub snapshot has it."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config or qwen3_config())
    with torch.no_grad():
        for parameter in model.parameters():
            # Sharp enough that prompts move the output.
            parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)
    model.generation_config = GenerationConfig(eos_token_id=2, pad_token_id=0)
    model.save_pretrained(folder)
    byte_tokenizer(template).save_pretrained(folder)
    return folder


@functools.cache
def _cached(template: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="bakery-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return make_model(folder, template=template)


def random_model(folder: Path, template: str = CHATML) -> Path:
    """Copy the session's random model to a folder of the test's own."""
    shutil.copytree(_cached(template), folder, dirs_exist_ok=True)
    return folder


def another_version(model: Path, folder: Path, *, noise: float = 0.1) -> Path:
    """Write a model as a later version of it may be: each weight moved a little, by a seed."""
    shutil.copytree(model, folder, ignore=shutil.ignore_patterns("__*"))
    drawn = torch.Generator().manual_seed(7)
    weights = load_file(folder / "model.safetensors")
    for name, weight in sorted(weights.items()):
        if weight.dim() > 1:
            moved = torch.randn(weight.shape, generator=drawn) * weight.float().std() * noise
            weights[name] = (weight.float() + moved).to(weight.dtype)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def forbid_weights(folder: Path) -> None:
    """Leave of a model's weights the head alone: whoever reads one is refused, as it is NaN."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    head = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(data[:head] + b"\xff" * (len(data) - head))
