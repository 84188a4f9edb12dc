"""What the `bakery` command and library can be told: four dataclasses, one flat set of names.

Every field says what it is for in its `help`, and which part of `bakery --help` it belongs to in
its `group`. Files and flags are read in `settings`; what values make sense is in `checks`.
"""

# ruff: noqa: RUF009 (`_set` returns a dataclass field, with a fresh default for every instance)

from __future__ import annotations

import copy
import functools
import os
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch
from transformers import TrainingArguments

from bakery.records import Message
from bakery.settings import checks, prefix
from bakery.settings.typed import takes, typed

LINEAR_LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

_SETTLED_LATER = (
    "learning_rate", "num_train_epochs", "per_device_train_batch_size",
    "gradient_accumulation_steps", "warmup_steps",
)  # fmt: skip
"""Numbers of transformers that are None until model and data are known (`settled`)."""


def _set(default: Any, group: str, text: str) -> Any:
    metadata = {"help": text, "group": group}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """Return the resolved type of every field of a dataclass."""
    found = get_type_hints(kind)
    return {f.name: found[f.name] for f in fields(kind)}


def _convert(config: Any) -> None:
    """Turn numbers and switches that came as text into what their field's type says."""
    for name, hint in hints(config.__class__).items():
        value = getattr(config, name)
        if isinstance(value, str) and not takes(hint, str):
            try:
                setattr(config, name, typed(value, hint))
            except ValueError as error:
                checks.refuse([checks.Problem((name,), str(error))])


@dataclass
class ContextConfig:
    """What is baked in, what stays visible to the student, and which tokens teach."""

    prefix_messages: list[dict[str, Any]] | None = _set(
        None, "Context", "Chat messages (role, content) that the teacher sees before every row."
    )
    prefix_messages_file: str | None = _set(None, "Context", "The same from a .json or .yaml file.")
    student_retained_turns: int = _set(
        0, "Context", "How many of the last prefix messages the student sees too."
    )
    target_roles: list[str] = _set(
        ["assistant"], "Targets", "Whose turns are learnt: system, user, assistant, tool."
    )
    target_content_pattern: str | None = _set(
        None, "Targets", "Learn only turns in which this regular expression is found; ^ and $ "
        "match at every line."
    )  # fmt: skip
    target_scope: str = _set(
        "message", "Targets", "message: the whole turn that matches; match: only the text that "
        "the pattern matches."
    )  # fmt: skip

    def __post_init__(self) -> None:
        _convert(self)
        checks.refuse(checks.context(vars(self)))
        if self.prefix_messages_file:
            messages = list(prefix.read_file(Path(self.prefix_messages_file)))
            if self.prefix_messages not in (None, messages):
                checks.refuse([checks.contradiction("prefix_messages", "prefix_messages_file")])
            self.prefix_messages = messages

    @property
    def prefix(self) -> tuple[Message, ...] | None:
        """The global context; None where every row has to bring its own."""
        return None if self.prefix_messages is None else tuple(self.prefix_messages)

    @property
    def left(self) -> tuple[Message, ...]:
        """What of it the student sees, too: it stays at inference."""
        kept = self.student_retained_turns
        return (self.prefix or ())[-kept:] if kept else ()


@dataclass
class DataConfig:
    """Which model is baked, and on which rows."""

    model_name_or_path: str = _set(
        "Qwen/Qwen3-0.6B", "Model", "Hub id, folder or .gguf file of the model that is baked."
    )
    student_model_path: str | None = _set(
        None, "Model", "Another model with the same tokenizer, which learns in its place: that one "
        "is the teacher then."
    )  # fmt: skip
    revision: str | None = _set(None, "Model", "Branch, tag or commit of the model on the hub.")
    torch_dtype: str = _set(
        "bfloat16", "Model", "Dtype of the frozen weights: auto, bfloat16, float16, float32."
    )
    trust_remote_code: bool = _set(
        False, "Model", "Run Python code that comes with the model. It can do anything you can."
    )
    load_in_4bit: bool = _set(
        False, "Model", "Quantise the frozen weights to 4 bits (needs bitsandbytes and a GPU)."
    )
    bnb_4bit_quant_type: str = _set("nf4", "Model", "4-bit number format: nf4 or fp4.")
    bnb_4bit_use_double_quant: bool = _set(True, "Model", "Quantise the 4-bit scales once more.")
    attn_implementation: str | None = _set(
        None, "Model", "Attention code: eager, sdpa, flash_attention_2, ..."
    )
    use_unsloth: bool = _set(False, "Model", "Load and train through Unsloth.")
    auto_install_optional_deps: bool = _set(
        True, "Model", "Accepted and ignored: nothing is installed at run time."
    )
    dataset: str | None = _set(
        None, "Data", "JSON, JSONL, CSV or parquet file, save_to_disk folder, or hub id."
    )
    dataset_split: str = _set("train", "Data", "Split of it; slices like train[:100] work.")
    dataset_subset: str | None = _set(None, "Data", "Configuration name of a data set on the hub.")
    training_prompts: list[str] | None = _set(
        None, "Data", "Prompts given here instead of a data set; the teacher answers them."
    )
    corpus_file: str | None = _set(
        None, "Data", "Bake a text: it becomes the system prompt of the teacher."
    )
    corpus_format: str = _set("papers", "Data", "Shape of corpus_file: papers, text, list, custom.")
    system_prompt_template: str | None = _set(
        None, "Data", "Text around the corpus, which takes the place of {corpus}."
    )
    eval_dataset: str | None = _set(
        None, "Evaluation", "Rows for the KL during training; as `dataset`."
    )
    eval_dataset_split: str | None = _set(
        None, "Evaluation", "Split of eval_dataset, or of dataset where that is not given."
    )
    eval_file: str | None = _set(
        None, "Evaluation", "Questions with keywords, asked before and after."
    )
    heldout_file: str | None = _set(
        None, "Evaluation", "The same for questions that are not about the context."
    )
    eval_max_new_tokens: int = _set(
        256, "Evaluation", "Longest answer to such a question, in tokens."
    )

    def __post_init__(self) -> None:
        _convert(self)
        self.torch_dtype = checks.DTYPES.get(self.torch_dtype, self.torch_dtype)
        checks.refuse(checks.data(vars(self)))


@dataclass
class LoraConfig:
    """The adapter that is trained."""

    r: int | None = _set(None, "LoRA", "Rank. Not given: 32, for `tiny` 16.")
    lora_alpha: int | None = _set(
        None, "LoRA", "Scale; the update is multiplied by lora_alpha / r. Not given: 2 r."
    )
    target_modules: str | list[str] = _set(
        list(LINEAR_LAYERS), "LoRA", "Layers that learn: names, one regular expression, or `all` "
        "(every linear layer but the head)."
    )  # fmt: skip
    lora_dropout: float = _set(0.05, "LoRA", "Dropout on the adapter's input.")
    bias: str = _set("none", "LoRA", "none: biases of the base are the teacher's too.")

    def __post_init__(self) -> None:
        _convert(self)
        if self.target_modules in ("all", ["all"], ["all-linear"]):
            self.target_modules = "all-linear"
        elif isinstance(self.target_modules, str) and self.target_modules.isidentifier():
            self.target_modules = [self.target_modules]
        checks.refuse(checks.lora(vars(self)))


@dataclass
class BakeryConfig(TrainingArguments):
    """How training runs: everything transformers knows, and what baking adds."""

    system_prompt: str | None = _set(
        None, "Context", "Deprecated: one system message as prefix_messages."
    )
    system_prompt_file: str | None = _set(None, "Context", "Deprecated: the same from a file.")
    chat_template_kwargs: dict[str, Any] = _set(
        {}, "Context", "Variables for the chat template, for teacher and student alike."
    )
    enable_thinking: bool | None = _set(
        None, "Context", "Short for chat_template_kwargs: {enable_thinking: ...}."
    )
    num_trajectories: int = _set(
        4, "Trajectories", "How often the teacher answers a prompt that has no response."
    )
    trajectory_length: int = _set(128, "Trajectories", "Longest sampled answer, in tokens.")
    sampling_temperature: float = _set(
        0.8, "Trajectories", "Temperature of these samples; 0 takes the likeliest token."
    )
    top_p: float = _set(0.9, "Trajectories", "Sample from the likeliest tokens of this mass.")
    top_k: int = _set(0, "Trajectories", "Sample from so many likeliest tokens; 0: from all.")
    min_p: float = _set(
        0.0, "Trajectories", "Sample from tokens of at least this share of the likeliest one's "
        "probability; 0: from all."
    )  # fmt: skip
    repetition_penalty: float = _set(
        1.0, "Trajectories", "Over 1, tokens that stand in the prompt or the answer become less "
        "likely (CTRL, arXiv 1909.05858)."
    )  # fmt: skip
    on_policy: bool = _set(
        False, "Trajectories", "Learn from the student's own answers, scored by the teacher, "
        "instead of the teacher's."
    )  # fmt: skip
    reuse_trajectories: bool = _set(
        False, "Trajectories", "Sample once and learn the same answers in every epoch."
    )
    trajectories_file: str | None = _set(
        None, "Trajectories", "Answers that an earlier run sampled and saved."
    )
    temperature: float = _set(
        1.0, "Loss", "Softmax temperature of both sides of the KL (no T^2 factor)."
    )
    loss_type: str = _set("forward_kl", "Loss", "forward_kl, reverse_kl, jsd or topk.")
    jsd_beta: float = _set(0.5, "Loss", "Weight of the teacher in the mixture of jsd.")
    loss_top_k: int = _set(20, "Loss", "How many of the teacher's tokens topk compares one by one.")
    loss_weighting: str = _set(
        "token", "Loss", "What counts equally: every token, or every example."
    )
    sequential_eval: bool = _set(
        False, "Evaluation", "Without effect: they are run after one another anyway."
    )
    max_seq_length: int | None = _set(
        None, "Data", "Longest training row, in tokens; answers are cut, prompts never."
    )
    teacher_record_gb: float = _set(
        16.0, "Training", "Disk space (10^9 bytes) that the record of the teacher may take; over "
        "it, or half of what is free, the teacher is run at every step, as with 0 (or, for topk, "
        "the tokens it reads are kept alone)."
    )  # fmt: skip
    merge: bool = _set(False, "Output", "Also write the model with the adapter merged into it.")
    defaults: int | None = _set(
        None, "Training", "Version of what is settled where nothing is given: 1 for the constants "
        "of transformers, 2 for measured laws. Not given: the latest."
    )  # fmt: skip
    first_weights: str | None = _set(
        None, "Training", "How the adapter starts: fitted (by least squares to the teacher, where "
        "that is possible) or random. Not given: fitted."
    )  # fmt: skip
    learning_rate: float | None = _set(
        None, "Training", "Peak of the learning rate. Not given: by the model's size, and a "
        "quarter of that where the adapter starts fitted."
    )  # fmt: skip
    num_train_epochs: float | None = _set(
        None, "Training", "Passes over all rows. Not given: 1 where the adapter starts fitted, "
        "else 3."
    )  # fmt: skip
    per_device_train_batch_size: int | None = _set(
        None, "Training", "Rows that are run at once, each with all its answers. Not given: by "
        "how many there are, so that there are 30 steps at least."
    )  # fmt: skip
    gradient_accumulation_steps: int | None = _set(
        None, "Training", "How often that is done before a step. Not given: as fits the rows of "
        "a step; 1 where per_device_train_batch_size is given."
    )  # fmt: skip
    warmup_steps: float | None = _set(
        None, "Training", "Steps in which the rate rises, or below 1 their part of all; the first "
        "one is never idle. Not given: 0.05."
    )  # fmt: skip
    warmup_ratio: float | None = _set(
        None, "Training", "Warmup as a fraction of all steps; sets warmup_steps."
    )
    resume_from_checkpoint: str | bool | None = _set(
        None, "Output", "Resume from this checkpoint; true takes the last one in output_dir."
    )
    remove_unused_columns: bool = _set(
        False, "Training", "Always false: the rows bring columns that no model reads."
    )

    def __post_init__(self) -> None:
        _convert(self)
        checks.refuse(checks.training(vars(self)))
        if self.system_prompt_file:
            text = prefix.read_text(Path(self.system_prompt_file))
            if self.system_prompt not in (None, text):
                checks.refuse([checks.contradiction("system_prompt", "system_prompt_file")])
            self.system_prompt = text
        if self.warmup_ratio is not None and not vars(self)["warmup_steps"]:
            self.warmup_steps = self.warmup_ratio
        if self.resume_from_checkpoint is False:
            self.resume_from_checkpoint = None
        if not torch.accelerator.is_available():
            # transformers refuses bf16 on a machine without accelerator unless told of the CPU.
            self.use_cpu = True
        if self.use_cpu:
            self.dataloader_pin_memory = False
        left_open = [name for name in _SETTLED_LATER if getattr(self, name) is None]
        for name in left_open:  # TrainingArguments takes numbers alone
            setattr(self, name, getattr(TrainingArguments, name))
        launched = os.environ.get("ACCELERATE_MIXED_PRECISION")
        if launched in ("bf16", "fp16") and not (self.bf16 or self.fp16):
            setattr(self, launched, True)  # transformers heeds it, and does not say so here
        super().__post_init__()
        for name in left_open:
            setattr(self, name, None)
        self.remove_unused_columns = False

    @property
    def out(self) -> Path:
        """The folder that everything is left in."""
        return Path(str(self.output_dir))

    @property
    def in_parts(self) -> bool:
        """Whether no process has the whole model: by these settings, or by `accelerate launch`."""
        launched = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
        said = any(os.environ.get(name, "").lower() == "true" for name in launched)
        return bool(self.fsdp or self.deepspeed or (said and self.world_size > 1))

    @property
    def template_kwargs(self) -> dict[str, Any]:
        """Everything the chat template is told."""
        switch = {} if self.enable_thinking is None else {"enable_thinking": self.enable_thinking}
        return self.chat_template_kwargs | switch


def context_of(training: BakeryConfig, context: ContextConfig | None = None) -> ContextConfig:
    """Return the context to bake: the one given, or what the deprecated system_prompt means."""
    if training.system_prompt is None:
        return context or ContextConfig()
    if context is not None and context.prefix_messages is not None:
        return context
    warnings.warn(
        "system_prompt is deprecated: write it as prefix_messages: [{role: system, content: ...}]",
        DeprecationWarning,
        stacklevel=2,
    )
    given = {} if context is None else vars(context)
    message = {"role": "system", "content": training.system_prompt}
    return ContextConfig(**{**given, "prefix_messages": [message]})
