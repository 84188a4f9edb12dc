"""A vocabulary of bytes and a chat template, for models and for the files of models."""

from __future__ import annotations

from tokenizers import pre_tokenizers

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_vocabulary() -> list[str]:
    """Return three special tokens and one a byte, in the order of their ids."""
    return [*SPECIALS, *sorted(pre_tokenizers.ByteLevel.alphabet())]
