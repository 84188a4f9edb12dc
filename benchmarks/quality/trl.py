"""TRL's SDFTTrainer: as it is by default, and as it learns this best in the same time.

Both get the very tokens that the other sides get: prompts are given as rendered text, and the
teacher's prompt as a whole. Tuned: rate and batch are the best of a sweep (docs/log.md), and the
rest is set in its favour as in `trl_side`: the teacher answers, the whole distribution is learnt
by forward KL, nothing is recomputed, and many answers are sampled at once.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from benchmarks.quality.cases import Case
from benchmarks.quality.exam import base_of, folder_of, prefix_ids
from benchmarks.quality.watch import Watch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that it is experimental
    from trl.experimental.sdft import SDFTConfig, SDFTTrainer
    from trl.experimental.sdft.sdft_trainer import DemonstrationTeacherContextBuilder

RATE, BATCH, EPOCHS, RANK = 1e-3, 4, 3, 32
AT_ONCE = 24
"""Answers in one call of `generate`, at most; behind 120 tokens more of them were no faster."""


def trl(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Train with its own defaults, but the length of answers."""
    _train(case, watch, folder, seed, {})


def trl_tuned(case: Case, watch: Watch, folder: Path, seed: int) -> None:
    """Train with the best that is known."""
    questions = len(case.train)
    # What does not fill a call of `generate` is dropped from the epoch.
    at_once = max(n for n in range(BATCH, AT_ONCE + 1, BATCH) if questions % n == 0)
    _train(
        case,
        watch,
        folder,
        seed,
        {
            "learning_rate": RATE,
            "per_device_train_batch_size": BATCH,
            "gradient_accumulation_steps": 1,
            "steps_per_generation": at_once // BATCH,
            "num_generations": 1,
            "generate_from_teacher": True,
            "distillation_mode": "full_logits",
            "distillation_alpha": 0.0,  # forward KL
            "gradient_checkpointing": False,
            "bf16": False,
        },
    )


def _train(case: Case, watch: Watch, folder: Path, seed: int, asked: dict[str, Any]) -> None:
    place = folder_of(base_of(case))
    watch.begin()
    model = AutoModelForCausalLM.from_pretrained(place, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(place)
    args = SDFTConfig(
        output_dir=str(folder),
        num_train_epochs=case.epochs or EPOCHS,
        max_completion_length=case.answer,
        max_prompt_length=None,
        seed=seed,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
        **asked,
    )
    adapter = LoraConfig(
        r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    trainer = SDFTTrainer(
        model,
        args,
        train_dataset=_rows(case, tokenizer),
        processing_class=tokenizer,
        peft_config=adapter,
        callbacks=[Looking(watch)],
    )
    trainer.teacher_context_builder = WholePrompt(trainer)
    trainer.train()


class WholePrompt(DemonstrationTeacherContextBuilder):  # type: ignore[misc]
    """Takes the teacher's prompt as it is; TRL's own joins it with the student's."""

    def _compose_teacher_prompt(self, prompt: str, privileged_context: str) -> str:
        return privileged_context


class Looking(TrainerCallback):  # type: ignore[misc]
    """Has the model looked at before the first step and after every one."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Look at what it starts from."""
        self._watch.look(0, given["model"])

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Look at what a step has made of it."""
        self._watch.look(state.global_step, given["model"])


def _rows(case: Case, tokenizer: Any) -> Dataset:
    """Return prompts as text, checked to be the ids that the other sides get."""
    found = []
    for question in case.train:
        row = {}
        for name, prompt in (("prompt", ()), ("privileged_context", case.prompt)):
            messages = [*prompt, {"role": "user", "content": question}]
            row[name] = tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True
            )
            assert tokenizer(row[name])["input_ids"] == prefix_ids(tokenizer, prompt, question)
        found.append(row)
    return Dataset.from_list(found)
