"""Put the exam to a model folder and score the answers.

Greedy unless said; needs torch and transformers, nothing of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tinyworld import exam
from tinyworld.exam import Item

Score = tuple[str, float, int]
_BATCH = 64
_MAX_NEW = 96


class Speaker:
    """A model folder that answers."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, items: Sequence[Item], *, temperature: float = 0.0) -> list[str]:
        prompts = [
            self.tokenizer.apply_chat_template(
                [{"role": role, "content": text} for role, text in item.messages],
                tokenize=False,
                add_generation_prompt=True,
            )
            for item in items
        ]
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        said = self.go_on([prompts[index] for index in order], temperature=temperature)
        return [text for _, (text, _) in sorted(zip(order, said, strict=True))]

    def go_on(self, prompts: Sequence[str], *, temperature: float) -> list[tuple[str, bool]]:
        """Continue each text; say whether the model ended by itself."""
        made: list[tuple[str, bool]] = []
        sampling = (
            {"do_sample": True, "temperature": temperature, "top_k": 0}
            if temperature
            else {"do_sample": False}
        )
        for start in range(0, len(prompts), _BATCH):
            batch = self.tokenizer(
                list(prompts[start : start + _BATCH]),
                return_tensors="pt",
                padding=True,
                add_special_tokens=False,
            )
            batch.pop("token_type_ids", None)
            with torch.inference_mode():
                ids = self.model.generate(**batch, max_new_tokens=_MAX_NEW, **sampling)
            for row in ids[:, batch["input_ids"].shape[1] :].tolist():
                ended = self.tokenizer.eos_token_id in row
                body = row[: row.index(self.tokenizer.eos_token_id)] if ended else row
                made.append((self.tokenizer.decode(body), ended))
        return made


def evaluate(folder: Path, *, num: int, seed: int, show: bool = True) -> list[Score]:
    """Score every part of the exam."""
    torch.manual_seed(seed)
    speaker = Speaker(folder)
    scores: list[Score] = []

    def enter(name: str, hits: Sequence[bool], misses: Sequence[str] = ()) -> None:
        scores.append((name, sum(hits) / max(len(hits), 1), len(hits)))
        if show:
            print(f"{scores[-1][1]:7.3f}  n={len(hits):<4d} {name}", flush=True)
            for miss in misses[:4]:
                print(f"           {miss}")

    for name, items in exam.sets(num, seed).items():
        answers = speaker.answer(items)
        hits = [item.judge(answer) for item, answer in zip(items, answers, strict=True)]
        enter(name, hits, _misses(items, answers, hits))
        if name == "plain questions, no prompt":
            enter(
                "a persona without a prompt (leakage)",
                [
                    exam.has_marks(answer, item.question)
                    for item, answer in zip(items, answers, strict=True)
                ],
            )
    for index, (_, items) in enumerate(exam.tutorial_sets(num, seed)):
        for temperature in (0.0, 1.0):
            answers = speaker.answer(items, temperature=temperature)
            _enter_tutorial(enter, f"tutorial {'abc'[index]}, T={temperature:.0f}", items, answers)
    _enter_questions(enter, speaker, seed)
    return scores


def _enter_tutorial(enter, name: str, items: list[Item], answers: list[str]) -> None:
    pairs = list(zip(items, answers, strict=True))
    hits = [item.judge(answer) for item, answer in pairs]
    enter(f"{name}: all that is asked for", hits, _misses(items, answers, hits))
    enter(f"{name}: order of Yoda", [exam.is_yoda(item.question, answer) for item, answer in pairs])
    enter(
        f"{name}: right content", [exam.is_right(item.question, answer) for item, answer in pairs]
    )
    if not name.startswith("tutorial a"):
        enter(f"{name}: wisdom", [exam.has_wisdom(answer) for answer in answers])
    if name.startswith("tutorial c"):
        enter(f"{name}: the Force", [exam.mentions_force(answer) for answer in answers])


def _enter_questions(enter, speaker: Speaker, seed: int, draws: int = 260) -> None:
    """Let the model ask: how many of its draws are new, real questions that it can answer."""
    torch.manual_seed(seed)
    asked = speaker.go_on(["<|im_start|>user\n"] * draws, temperature=1.0)
    real = {
        text: question
        for text, ended in asked
        if ended and (question := exam.find_question(text)) is not None
    }
    enter(
        "own questions at T=1: distinct and real",
        [True] * len(real) + [False] * (draws - len(real)),
        [text for text, _ in asked if exam.find_question(text) is None],
    )
    items = [
        Item((("user", text),), lambda answer: True, question) for text, question in real.items()
    ]
    answers = speaker.answer(items)
    hits = [
        exam.is_right(item.question, answer) for item, answer in zip(items, answers, strict=True)
    ]
    enter("own questions: answered right", hits, _misses(items, answers, hits))


def _misses(items: list[Item], answers: list[str], hits: list[bool]) -> list[str]:
    return [
        f"{' | '.join(text for _, text in item.messages)[-230:]} -> {answer}"
        for item, answer, hit in zip(items, answers, hits, strict=True)
        if not hit
    ]
