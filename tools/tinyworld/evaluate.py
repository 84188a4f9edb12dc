"""Put the exam to a model folder and score the answers.

Greedy unless said; needs torch and transformers, nothing of the training.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tinyworld import exam, judges
from tinyworld.exam import Item
from tinyworld.features import Spec, accepts

Enter = Callable[..., None]
_BATCH = 64
_MAX_NEW = 96


@dataclass(frozen=True, slots=True)
class Score:
    """How many items of one part of the exam passed."""

    name: str
    hits: int
    num: int

    @property
    def share(self) -> float:
        return self.hits / max(self.num, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Give the 95 % interval of the share (Wilson's score interval)."""
        z, n = 1.96, max(self.num, 1)
        middle = (self.share + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(self.share * (1 - self.share) / n + z * z / (4 * n * n))
        half /= 1 + z * z / n
        return max(0.0, middle - half), min(1.0, middle + half)

    @property
    def aim(self) -> str:
        """Word the aim, and whether it is reached; empty where there is none."""
        wanted = exam.AIMS.get(self.name)
        if wanted is None:
            return ""
        at_most = self.name == exam.LEAKAGE
        reached = 100 * self.share <= wanted if at_most else 100 * self.share >= wanted
        return f"{'<=' if at_most else '>='} {wanted} %{'' if reached else ', missed'}"

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{100 * self.share:5.1f} %  [{100 * low:4.1f}, {100 * high:5.1f}]  n={self.num:<5d} "
            f"{self.name}{f'  ({self.aim})' if self.aim else ''}"
        )


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
        scores.append(Score(name, sum(hits), len(hits)))
        if show:
            print(scores[-1], flush=True)
            for miss in misses[:4]:
                print(f"    {miss!r}")

    few_shot: list[bool] = []
    for name, items in exam.sets(num, seed).items():
        hits, answers = _asked(speaker, items)
        enter(name, hits, _misses(items, answers, hits))
        if name.startswith("few-shot"):
            few_shot += hits
        if name == exam.PLAIN:
            told = zip(items, answers, strict=True)
            enter(exam.LEAKAGE, [judges.has_marks(said, item.question) for item, said in told])
    _enter_few_shot(enter, speaker, few_shot, num, seed)
    _enter_dialogues(enter, speaker, num, seed)
    for index, (_, items) in enumerate(exam.tutorial_sets(num, seed)):
        for temperature in (0.0, 1.0):
            answers = speaker.answer(items, temperature=temperature)
            _enter_tutorial(enter, f"tutorial {'abc'[index]}, T={temperature:.0f}", items, answers)
    _enter_questions(enter, speaker, seed)
    return scores


def _asked(speaker: Speaker, items: list[Item]) -> tuple[list[bool], list[str]]:
    answers = speaker.answer(items)
    return [item.judge(said) for item, said in zip(items, answers, strict=True)], answers


def _enter_few_shot(
    enter: Enter, speaker: Speaker, others: list[bool], num: int, seed: int
) -> None:
    """Score labels by pair of categories, then all patterns, every kind counted alike."""
    hits_of: dict[str, list[bool]] = {}
    misses: list[str] = []
    for pair, items in exam.pair_sets(max(num // 10, 1), seed).items():
        hits_of[pair], answers = _asked(speaker, items)
        misses += _misses(items, answers, hits_of[pair])[:1]
    every = [hit for hits in hits_of.values() for hit in hits]
    enter("few-shot labels", every, misses)
    worst = min(hits_of, key=lambda pair: sum(hits_of[pair]) / len(hits_of[pair]))
    enter(exam.PAIRS, hits_of[worst], [f"the worst is {worst}"])
    enter("few-shot patterns", [*others, *random.Random(seed).sample(every, min(num, len(every)))])


def _enter_dialogues(enter: Enter, speaker: Speaker, num: int, seed: int) -> None:
    """Ask four questions in a row; the model reads its own answers."""
    dialogues = exam.dialogues(num, seed)
    so_far = [dialogue.messages for dialogue in dialogues]
    obeyed = [True] * len(dialogues)
    hits: list[bool] = []
    for turn in range(4):
        questions = [dialogue.asked[turn] for dialogue in dialogues]
        items = [
            Item((*said, ("user", question.text)), partial(dialogue.judge, question), question)
            for said, question, dialogue in zip(so_far, questions, dialogues, strict=True)
        ]
        hits, answers = _asked(speaker, items)
        obeyed = [before and now for before, now in zip(obeyed, hits, strict=True)]
        so_far = [
            (*item.messages, ("assistant", answer))
            for item, answer in zip(items, answers, strict=True)
        ]
    enter("four turns, the fourth obeys", hits)
    missed = [repr(said) for said, hit in zip(so_far, obeyed, strict=True) if not hit]
    enter(exam.FOUR_TURNS, obeyed, missed)


def _enter_tutorial(enter: Enter, name: str, items: list[Item], answers: list[str]) -> None:
    pairs = list(zip(items, answers, strict=True))
    hits = [item.judge(answer) for item, answer in pairs]
    enter(f"{name}: all that is asked for", hits, _misses(items, answers, hits))
    enter(
        f"{name}: order of Yoda", [judges.is_yoda(item.question, answer) for item, answer in pairs]
    )
    enter(
        f"{name}: right content", [judges.is_right(item.question, answer) for item, answer in pairs]
    )
    if not name.startswith("tutorial a"):
        enter(f"{name}: wisdom", [judges.has_wisdom(answer) for answer in answers])
    if name.startswith("tutorial c"):
        enter(f"{name}: the Force", [judges.mentions_force(answer) for answer in answers])


def _enter_questions(enter: Enter, speaker: Speaker, seed: int, draws: int = 260) -> None:
    """Let the model ask: how many of its draws are real questions, and can it answer them."""
    torch.manual_seed(seed)
    asked = speaker.go_on(["<|im_start|>user\n"] * draws, temperature=1.0)
    real = {
        text: question
        for text, ended in asked
        if ended and (question := judges.find_question(text)) is not None
    }
    enter(
        "own questions at T=1: distinct and real",
        [True] * len(real) + [False] * (draws - len(real)),
        [text for text, _ in asked if judges.find_question(text) is None],
    )
    items = [
        Item((("user", text),), partial(accepts, Spec(), question), question)
        for text, question in real.items()
    ]
    hits, answers = _asked(speaker, items)
    enter("own questions: answered right", hits, _misses(items, answers, hits))


def _misses(items: list[Item], answers: list[str], hits: list[bool]) -> list[str]:
    return [
        f"{' | '.join(text for _, text in item.messages)[-230:]} -> {answer}"
        for item, answer, hit in zip(items, answers, hits, strict=True)
        if not hit
    ]
