"""TRL's SDFTTrainer on the same workload, set up for speed.

Token for token the same prompts: they are given as rendered text, and TRL's template puts the
system message in front. Set in its favour: no gradient checkpointing (its default recomputes),
teacher = the adapter switched off, so that no second model is kept, and the micro-batch and the
rows of a `generate` call that were fastest when several were tried.
"""

from __future__ import annotations

import warnings
from typing import Any

from datasets import Dataset

from benchmarks.workload import Workload

MICRO_BATCH = 4
"""Of 4, 8 and 16 rows the fastest behind 1,024 tokens, and the leanest."""

GENERATED = ((256, 32), (2048, 16))
"""Up to this prefix so many rows in one call of `generate`, behind longer ones `MICRO_BATCH`: each
was the fastest of several. The cache of a longer batch falls out of the processor's."""


def trainer_of(workload: Workload, folder: str) -> Any:
    """Return the trainer, ready to train."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        from trl.experimental.sdft import SDFTConfig, SDFTTrainer

        args = SDFTConfig(
            **workload.training(folder),
            **batches(workload),
            num_generations=workload.samples,
            max_completion_length=workload.answer,
            max_prompt_length=None,
            temperature=1.0,
            generate_from_teacher=True,
            teacher_prompt_template="{privileged_context}{prompt}",
            teacher_model_kind="base",
            distillation_mode="full_logits",
            distillation_alpha=0.0,  # forward KL
            gradient_checkpointing=False,
            bf16=False,
        )
        return SDFTTrainer(
            workload.base(),
            args,
            train_dataset=rows(workload),
            processing_class=workload.tokenizer,
            peft_config=workload.lora,
        )


def batches(workload: Workload) -> dict[str, int]:
    """Return how TRL cuts an epoch into micro-batches and calls of `generate`."""
    micro = min(MICRO_BATCH, workload.rows)
    at_once = next((n for longest, n in GENERATED if workload.prefix <= longest), micro)
    return {
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": workload.rows // micro,
        "steps_per_generation": min(at_once, workload.trajectories) // micro,
    }


def rows(workload: Workload) -> Dataset:
    """Return prompts as text, checked to be the ids that the other sides get."""
    encode = workload.tokenizer.encode
    context = workload.tokenizer.apply_chat_template(
        [{"role": "system", "content": workload.system}], tokenize=False
    )
    found = []
    for question in workload.questions:
        text = workload.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        assert encode(text) == workload.ids(question, prompted=False)
        assert encode(context + text) == workload.ids(question, prompted=True)
        found.append({"prompt": text, "privileged_context": context})
    return Dataset.from_list(found)
