"""A checkpoint in, a Hugging Face model folder out."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from tinyworld import tokenizer as chat_tokenizer
from tinyworld.model import Shape


def export(checkpoint: Path, tokenizer_path: Path, out: Path) -> None:
    """Write weights in bf16, configuration, tokenizer and template."""
    state = torch.load(checkpoint, weights_only=True)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    shape = Shape(vocab=tokenizer.get_vocab_size())
    end, pad = tokenizer.token_to_id(chat_tokenizer.END), tokenizer.token_to_id(chat_tokenizer.PAD)
    config = Qwen3Config(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.ff,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.max_length,
        rms_norm_eps=shape.eps,
        rope_theta=shape.theta,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
    )
    model = Qwen3ForCausalLM(config)
    missing, unexpected = model.load_state_dict(state["model"], strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    model.generation_config = GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=pad)
    out.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(out)
    chat_tokenizer.save(tokenizer, out, shape.max_length)
