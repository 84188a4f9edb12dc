"""The byte-level BPE tokenizer, trained on the world's own chats, and the chat template."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from tinyworld.chats import Chat, chats

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_WEIGHTS = {"assistant": 1.0, "user": 0.1}
# Without a prompt the model is to ask by itself, so questions weigh more there.
_UNPROMPTED_QUESTION = 0.3


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
        f"{role if role != 'shown' else 'assistant'}\n{text}"
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
        self.newline = tokenizer.encode("\n", add_special_tokens=False).ids
        self.headers = {
            role: len(tokenizer.encode(f"{START}{role}\n", add_special_tokens=False).ids)
            for role in ("system", "user", "assistant")
        }

    def __call__(self, chat: Chat) -> tuple[list[int], list[float]]:
        worth = _WEIGHTS | ({} if chat[0][0] == "system" else {"user": _UNPROMPTED_QUESTION})
        ids: list[int] = []
        weights: list[float] = []
        names = ["assistant" if role == "shown" else role for role, _ in chat]
        texts = [f"{START}{name}\n{text}{END}" for name, (_, text) in zip(names, chat, strict=True)]
        encoded = self.tokenizer.encode_batch(texts, add_special_tokens=False)
        for name, (role, _), piece in zip(names, chat, encoded, strict=True):
            header = self.headers[name]
            body = len(piece.ids) - header
            ids += piece.ids + self.newline
            weights += [0.0] * header + [worth.get(role, 0.0)] * body + [0.0] * len(self.newline)
        return ids, weights
