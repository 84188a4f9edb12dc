"""Small random bases of every kind that is written to GGUF, with tokenizers of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers as t
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    normalizers,
    pre_tokenizers,
    trainers,
)
from tokenizers.models import BPE
from transformers import (
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
)

from bakery.engine.export.gguf.pre_tokenizer import LLAMA3, QWEN2
from bakery.engine.models.models import BaseModel
from bakery.engine.text.chat import Chat
from bakery.identity import BaseModelId
from tests.support import nasty
from tests.support.vocabulary import CHATML, SPECIALS

ROWS = 1024
"""Tokens; some of them have no text."""
_SIZES: dict[str, Any] = {
    "vocab_size": ROWS,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
_LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
    "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
}  # fmt: skip
_SIX = [*["sliding_attention"] * 5, "full_attention"]


def _sized(kind: type[PreTrainedConfig], **more: Any) -> Callable[[], PreTrainedConfig]:
    return lambda: kind(**{**_SIZES, **more})


MODELS: Mapping[str, Callable[[], PreTrainedConfig]] = {
    "llama": _sized(t.LlamaConfig),
    "llama, tied": _sized(t.LlamaConfig, tie_word_embeddings=True),
    "llama 3": _sized(t.LlamaConfig, rope_parameters=_LLAMA_3),
    "mistral": _sized(t.MistralConfig, sliding_window=None),
    "qwen2": _sized(t.Qwen2Config, head_dim=16),
    "qwen3": _sized(t.Qwen3Config),
    "gemma2": _sized(
        t.Gemma2Config, tie_word_embeddings=True, sliding_window=16, head_dim=256,
        query_pre_attn_scalar=256,
        layer_types=["sliding_attention", "full_attention"],
    ),
    "gemma3": _sized(
        t.Gemma3TextConfig, tie_word_embeddings=True, sliding_window=16, head_dim=256,
        query_pre_attn_scalar=256,
        num_hidden_layers=6, layer_types=_SIX,
        rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
        },
    ),
}  # fmt: skip


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
WAYS: Mapping[str, tuple[pre_tokenizers.PreTokenizer, bool]] = {
    "gpt-2": (_GPT2, False),
    "smollm": (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2]),
        False,
    ),
    "qwen2": (_split(QWEN2), False),
    "llama-bpe": (_split(LLAMA3), True),
    "smaug-bpe": (_split(LLAMA3), False),
}
"""Ways to cut text, by llama.cpp's names, and whether whole words go before merges."""


def bytes_tokenizer(way: str = "gpt-2", template: str = CHATML) -> PreTrainedTokenizerFast:
    """Return a tokenizer of bytes whose merges run over whatever its way leaves in one piece."""
    cut, words_first = WAYS[way]
    own = Tokenizer(BPE(ignore_merges=words_first))
    own.pre_tokenizer = cut
    own.decoder = decoders.ByteLevel()
    own.train_from_iterator(
        nasty.texts() * 3,
        trainers.BpeTrainer(
            vocab_size=ROWS - 24, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=list(SPECIALS), show_progress=False,
        ),
    )  # fmt: skip
    own.add_tokens([AddedToken("<think>", normalized=False), AddedToken("[OK]", normalized=False)])
    return _fast(own, template)


def _fast(own: Tokenizer, template: str) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token=SPECIALS[0], eos_token=SPECIALS[2]
    )
    fast.chat_template = template
    return fast


def _prepended(own: Tokenizer) -> None:
    own.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def _spelled(own: Tokenizer) -> None:
    own.normalizer = normalizers.Replace(" ", "▁")
    own.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")


def _meta(scheme: str) -> Callable[[Tokenizer], None]:
    def set_up(own: Tokenizer) -> None:
        own.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)

    return set_up


PIECES: Mapping[str, Callable[[Tokenizer], None]] = {
    "prepended": _prepended,
    "spelled": _spelled,
    "metaspace never": _meta("never"),
    "metaspace first": _meta("first"),
}
"""Ways in which tokenizers of SentencePiece treat spaces."""


SIGNS = ("<unk>", "<s>", "</s>")


def pieces_tokenizer(spaces: str = "prepended", template: str = CHATML) -> PreTrainedTokenizerFast:
    """Return a tokenizer as one of SentencePiece is converted: pieces in the order of scores."""
    wholes = _wholes()
    base = [*SIGNS, *SPECIALS, *(f"<0x{byte:02X}>" for byte in range(256))]
    letters = sorted({letter for whole in wholes for letter in whole})
    vocab = {text: at for at, text in enumerate([*base, *letters, *wholes])}
    merges = [
        (whole[:at], whole[at:])
        for whole in wholes
        for at in range(1, len(whole))
        if whole[:at] in vocab and whole[at:] in vocab
    ]
    own = Tokenizer(
        BPE(vocab=vocab, merges=merges, byte_fallback=True, fuse_unk=True, unk_token="<unk>")
    )
    PIECES[spaces](own)
    own.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    own.add_special_tokens([AddedToken(text, normalized=False) for text in (*SIGNS, *SPECIALS)])
    return _fast(own, template)


def _wholes() -> list[str]:
    """Return pieces of more than one letter, the likeliest first, each made of two before it."""
    own = Tokenizer(BPE())
    own.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=600, show_progress=False, limit_alphabet=120)
    own.train_from_iterator([text.replace("\0", "") for text in nasty.texts()] * 3, trainer)
    found = sorted(own.get_vocab().items(), key=lambda item: item[1])
    # No real vocabulary has a piece with a zero byte, and texts of C end at one.
    return [text for text, _ in found if len(text) > 1 and "\0" not in text][:400]


def base(kind: str = "llama", tokenizer: PreTrainedTokenizerFast | None = None) -> BaseModel:
    """Return a random base in float32 that says something else to every prompt."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(MODELS[kind](), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)
            parameter.add_(0.01 * torch.randn_like(parameter))
    model.requires_grad_(False)
    tokenizer = tokenizer or bytes_tokenizer()
    # llama-server tells no log probabilities of a token that ends within a letter.
    plain = {i for text, i in tokenizer.get_vocab().items() if text.strip("Ġ▁").isascii()}
    odd = set(range(ROWS)) - plain | set(tokenizer.added_tokens_decoder)
    model.get_output_embeddings().weight[sorted(odd)] *= 0.2
    chat = Chat(tokenizer, [int(tokenizer.eos_token_id)], rows=ROWS)
    return BaseModel(BaseModelId(kind, "", "0" * 64), model, chat)
