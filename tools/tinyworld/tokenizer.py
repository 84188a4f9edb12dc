"""The byte-level BPE tokenizer, trained on the world's own chats, and the chat template."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tinyworld.chats import SPOKEN, Chat, chats

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_CONTEXT = ("system", *SPOKEN)
_WEIGHTS = {"assistant": 1.0, "user": 0.1}
# Without a prompt the model is to ask by itself, so questions weigh more there.
_UNPROMPTED_QUESTION = 0.3
# The share of chats whose prompt is cut into unusual pieces, and the share of cut places.
_BROKEN, _CUT = 0.25, 0.08


def train(vocab_size: int, seed: int, num_chats: int = 60_000) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    # Single digits: sums are learned by column, and numbers never seen can be copied.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, START, END],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = (
        f"{SPOKEN.get(role, role)}\n{text}"
        for chat in islice(chats(seed), num_chats)
        for role, text in chat
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save(tokenizer: Tokenizer, out: Path, max_length: int) -> None:
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        padding_side="left",
        additional_special_tokens=[START],
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(out)


class Encoder:
    """Chats to ids with a loss weight per token: answers count fully, questions a tenth."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.newline = self._ids("\n")
        self.end = self._ids(END)
        self.headers = {
            role: self._ids(f"{START}{role}\n") for role in ("system", "user", "assistant")
        }

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def __call__(self, chat: Chat, rng: random.Random) -> tuple[list[int], list[float]]:
        worth = _WEIGHTS | ({"user": _UNPROMPTED_QUESTION} if chat[0][0] == "user" else {})
        is_broken = rng.random() < _BROKEN
        pieces = [
            _broken(text, rng) if is_broken and role in _CONTEXT else [text] for role, text in chat
        ]
        encoded = iter(
            self.tokenizer.encode_batch(
                [piece for text in pieces for piece in text], add_special_tokens=False
            )
        )
        ids: list[int] = []
        weights: list[float] = []
        for (role, _), text in zip(chat, pieces, strict=True):
            header = self.headers[SPOKEN.get(role, role)]
            body = [one for _ in text for one in next(encoded).ids] + self.end
            ids += header + body + self.newline
            weights += [0.0] * len(header) + [worth.get(role, 0.0)] * len(body)
            weights += [0.0] * len(self.newline)
        return ids, weights


def _broken(text: str, rng: random.Random) -> list[str]:
    """Cut a text at random places, so that its words are read in unusual pieces.

    The answer is spelled as always: what is copied must be known by its letters
    (BPE-dropout, arXiv:1910.13267, with random numbers that can be repeated).
    """
    pieces, start = [], 0
    for place in range(1, len(text)):
        if rng.random() < _CUT:
            pieces.append(text[start:place])
            start = place
    return [*pieces, text[start:]]
