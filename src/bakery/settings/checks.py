"""Which settings make sense: every problem by the name of its field, before a model is loaded.

Pure but for looking whether files exist. Where a value was written is added by `settings`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakery.defaults import LATEST
from bakery.errors import ConfigError
from bakery.paths import expanded
from bakery.settings.typed import unknown_name
from bakery.yaml import text as yaml_text

ROLES = ("system", "user", "assistant", "tool")
DTYPES = {"bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32"} | {
    f"torch.{name}": name for name in ("bfloat16", "float16", "float32")
}
CHOICES = {
    "target_scope": ("message", "match"),
    "torch_dtype": ("auto", "bfloat16", "float16", "float32"),
    "bnb_4bit_quant_type": ("nf4", "fp4"),
    "corpus_format": ("papers", "text", "list", "custom"),
    "loss_type": ("forward_kl", "reverse_kl", "jsd", "topk"),
    "loss_weighting": ("token", "example"),
    "first_weights": ("fitted", "random"),
}
EXCLUSIVE: tuple[tuple[str, ...], ...] = (
    (
        "prefix_messages",
        "prefix_messages_file",
        "system_prompt",
        "system_prompt_file",
        "corpus_file",
    ),
    ("dataset", "training_prompts"),
)
"""Names that say the same thing in different ways: one of each line may be given."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the value at a path; `path` is empty where something is missing."""

    path: tuple[str | int, ...]
    text: str

    @property
    def name(self) -> str:
        """The path as people read it: `prefix_messages[1].role`."""
        rest = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in self.path)
        return rest.lstrip(".")


def refuse(problems: Sequence[Problem]) -> None:
    """Raise one ConfigError that lists every problem, if there is any."""
    if problems:
        lines = [f"{p.name}: {p.text}" if p.path else p.text for p in problems]
        raise ConfigError("\n".join(lines))


def contradiction(first: str, second: str) -> Problem:
    """Return the problem of two names that say the same thing."""
    return Problem((second,), f"contradicts {first}: give one of them")


RENDERING = frozenset(
    {"add_generation_prompt", "continue_final_message", "tokenize", "tools", "return_dict"}
)
"""What is said to every template anyway; a second opinion would change where answers begin."""


def context(values: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the fields of a ContextConfig."""
    found = [*_choices(values), *_files(values, "prefix_messages_file")]
    found += _numbers(values, student_retained_turns=(0, None))
    if values["prefix_messages"] is not None:
        found += messages(values["prefix_messages"], ("prefix_messages",))
    roles = values["target_roles"]
    if not roles:
        found.append(Problem(("target_roles",), f"names no role; known: {', '.join(ROLES)}"))
    for index, role in enumerate(roles):
        if role not in ROLES:
            found.append(Problem(("target_roles", index), _unknown_role(role)))
    pattern = values["target_content_pattern"]
    found += _regex(("target_content_pattern",), pattern)
    if values["target_scope"] == "match" and not pattern:
        found.append(Problem(("target_scope",), "match needs a target_content_pattern"))
    return found


def data(values: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the fields of a DataConfig."""
    found = [*_choices(values), *_files(values, "corpus_file", "eval_file", "heldout_file")]
    found += _numbers(values, eval_max_new_tokens=(1, None))
    for name in ("dataset", "eval_dataset", "model_name_or_path"):
        value = values[name]
        if value is not None and not value.strip():
            found.append(Problem((name,), "is empty"))
        elif value is not None and looks_local(value) and not expanded(value).exists():
            found.append(Problem((name,), f"no such file or folder: {value}"))
    if values["training_prompts"] is not None:
        if not values["training_prompts"]:
            found.append(Problem(("training_prompts",), "holds no prompt"))
        for index, prompt in enumerate(values["training_prompts"]):
            if not prompt.strip():
                found.append(Problem(("training_prompts", index), "is empty"))
    template = values["system_prompt_template"]
    if template is not None and "{corpus}" not in template:
        found.append(Problem(("system_prompt_template",), "has no {corpus} in it"))
    if values["corpus_format"] == "custom" and template is None:
        found.append(Problem(("corpus_format",), "custom needs a system_prompt_template"))
    return found


def lora(values: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the fields of a LoraConfig."""
    found = [*_choices(values), *_numbers(values, r=(1, 65_536), lora_alpha=(1, None))]
    if not 0 <= values["lora_dropout"] < 1:
        found.append(Problem(("lora_dropout",), "has to be at least 0 and below 1"))
    if values["bias"] != "none":
        why = "the teacher is the base with its own biases, so only `none` can be learnt beside it"
        found.append(Problem(("bias",), f"has to be none: {why}"))
    modules = values["target_modules"]
    if not modules:
        found.append(Problem(("target_modules",), "names no layer"))
    if isinstance(modules, str) and modules != "all-linear":
        found += _regex(("target_modules",), modules)
    return found


def training(values: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the fields that baking adds to TrainingArguments, and a few more.

    What transformers checks itself is left to it.
    """
    found = [*_choices(values), *_files(values, "system_prompt_file", "trajectories_file")]
    found += _numbers(
        values,
        num_trajectories=(1, 100_000),
        trajectory_length=(1, 10_000_000),
        sampling_temperature=(0, None),
        top_p=(0, 1),
        top_k=(0, None),
        min_p=(0, 1),
        loss_top_k=(1, None),
        max_seq_length=(1, None),
        teacher_record_gb=(0, None),
        warmup_ratio=(0, 0.999),
        num_train_epochs=(0, None),
        learning_rate=(0, None),
        per_device_train_batch_size=(1, None),
        per_device_eval_batch_size=(1, None),
        gradient_accumulation_steps=(1, None),
        dataloader_num_workers=(0, None),
        seed=(0, 2**32 - 1),
        max_steps=(-1, None),
        defaults=(1, LATEST),
    )
    if values["max_steps"] == 0:
        found.append(Problem(("max_steps",), "is 0: nothing would be trained (-1 is no limit)"))
    if values["num_train_epochs"] == 0 and values["max_steps"] < 0:
        found.append(Problem(("num_train_epochs",), "is 0: nothing would be trained"))
    if values["label_smoothing_factor"]:
        found.append(Problem(("label_smoothing_factor",), "has no labels to smooth"))
    if values.get("train_sampling_strategy") == "group_by_length":
        found.append(Problem(("train_sampling_strategy",), "rows have no one length to group by"))
    for name in ("temperature", "top_p", "repetition_penalty"):
        if values[name] == 0 or (name != "top_p" and values[name] < 0):
            found.append(Problem((name,), "has to be above 0"))
    if not 0 < values["jsd_beta"] < 1:
        found.append(Problem(("jsd_beta",), "has to lie between 0 and 1, both left out"))
    if values["warmup_ratio"] and values["warmup_steps"] not in (None, 0, values["warmup_ratio"]):
        found.append(Problem(("warmup_ratio",), "contradicts warmup_steps: give one of them"))
    for name in ("reuse_trajectories", "trajectories_file"):
        if values["on_policy"] and values[name]:
            text = "contradicts on_policy, which samples anew from the student at every step"
            found.append(Problem((name,), text))
    for name in sorted(RENDERING & values["chat_template_kwargs"].keys()):
        found.append(Problem(("chat_template_kwargs", name), "is decided by bakery itself"))
    told = values["chat_template_kwargs"].get("enable_thinking")
    if None not in (told, values["enable_thinking"]) and told != values["enable_thinking"]:
        text = f"contradicts chat_template_kwargs, which says {told}"
        found.append(Problem(("enable_thinking",), text))
    for name in ("deepspeed", "fsdp_config", "accelerator_config"):
        if isinstance(values[name], str) and not values[name].startswith("{"):
            found += _files(values, name)
    resume = values["resume_from_checkpoint"]
    if isinstance(resume, str) and not Path(resume).is_dir():
        found.append(Problem(("resume_from_checkpoint",), f"no such folder: {resume}"))
    return found


def messages(value: Any, path: tuple[str | int, ...] = ()) -> list[Problem]:
    """Return what is wrong with a list of chat messages."""
    if not isinstance(value, list | tuple):
        text = f"expected a list of messages (role, content), got {type(value).__name__}"
        return [Problem(path, text)]
    if not value:
        return [Problem(path, "holds no message")]
    return [p for i, message in enumerate(value) for p in _message(message, (*path, i))]


def looks_local(source: str) -> bool:
    """Tell whether a name can only mean a path on this machine, never an id on the hub."""
    path = Path(source)
    if source.startswith((".", "/", "~")) or "\\" in source or len(path.parts) > 2:
        return True
    return path.suffix.lower() in _SUFFIXES


_SUFFIXES = (
    ".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".arrow", ".txt", ".yaml", ".yml",
    ".gz", ".zip", ".gguf",
)  # fmt: skip


def _message(message: Any, path: tuple[str | int, ...]) -> Iterator[Problem]:
    if not isinstance(message, Mapping):
        yield Problem(path, f"expected a message (role, content), got {message!r}")
        return
    for key in ("role", "content"):
        if key not in message:
            close = yaml_text.nearest(key, [str(k) for k in message if k not in _MESSAGE_KEYS])
            if key == "content" and message.get("tool_calls"):
                continue
            yield Problem(path, f"has no {key}" + (f": is `{close}` meant?" if close else ""))
    role = message.get("role")
    if role is not None and role not in (*ROLES, "developer"):
        yield Problem((*path, "role"), _unknown_role(role))
    content = message.get("content", "")
    if not isinstance(content, str | list) and not message.get("tool_calls"):
        yield Problem((*path, "content"), f"expected text, got {content!r}")


_MESSAGE_KEYS = ("role", "content", "name", "tool_calls", "tool_call_id", "reasoning_content")


def _unknown_role(role: Any) -> str:
    return unknown_name(str(role), ROLES).replace("unknown value", "unknown role")


def _choices(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name, known in CHOICES.items():
        if name == "first_weights" and values.get(name) is None:
            continue  # not given: it is settled later
        if name in values and values[name] not in known:
            yield Problem((name,), unknown_name(str(values[name]), known))


def _files(values: Mapping[str, Any], *names: str) -> Iterator[Problem]:
    for name in names:
        value = values[name]
        if value is not None and not expanded(value).is_file():
            yield Problem((name,), f"no such file: {value}")


def _numbers(values: Mapping[str, Any], **limits: tuple[float, float | None]) -> Iterator[Problem]:
    for name, (least, most) in limits.items():
        value = values[name]
        if value is None or (least <= value and (most is None or value <= most)):
            continue
        if most is not None and most <= 1:  # a share: both ends are worth saying
            bound = f"between {least} and {most}"
        else:
            bound = f"at least {least}" if value < least else f"at most {most}"
        yield Problem((name,), f"has to be {bound}, got {value}")


def _regex(path: tuple[str | int, ...], pattern: str | None) -> Iterator[Problem]:
    if pattern is None:
        return
    try:
        re.compile(pattern, re.MULTILINE)
    except re.error as error:
        where = "" if error.pos is None else f" (at {pattern[error.pos :][:20]!r})"
        yield Problem(path, f"{pattern!r:.200} is not a regular expression: {error.msg}{where}")
    except (RecursionError, OverflowError, MemoryError) as error:
        why = str(error) or type(error).__name__
        yield Problem(path, f"{pattern!r:.200} is too much for a regular expression: {why}")
