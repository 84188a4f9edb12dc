"""input.yml as frozen types; the only module that knows its keys.

Reading stops at "what did the author write": defaults that depend on the base model,
and every id, are `repo.plan`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from string import Template
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bakery import yaml_text
from bakery.errors import BakeryError, ConfigError
from bakery.records import Message, Prompt

ROLES = ("system", "developer", "user", "assistant", "tool")

MAX_TEMPLATE_BYTES = 1 << 20

Count = Annotated[int, Field(ge=1, strict=True)]
Seed = Annotated[int, Field(ge=0, strict=True)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PromptSection(_Section):
    """One named prompt: `PROMPT.teacher`, `PROMPT.student`."""

    name: Name | None = None
    messages: tuple[Message, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()

    @field_validator("messages")
    @classmethod
    def _are_messages(cls, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        for number, message in enumerate(messages):
            if not isinstance(message.get("role"), str) or not message["role"]:
                raise ValueError(f"message {number} has no role")
            if message["role"] not in ROLES:
                guess = yaml_text.nearest(message["role"], ROLES)
                advice = f"did you mean `{guess}`?" if guess else f"known: {', '.join(ROLES)}"
                raise ValueError(f"message {number} has the role {message['role']!r}: {advice}")
            content = message.get("content")
            if content is not None and not isinstance(content, str | list):
                raise ValueError(f"the content of message {number} is not text")
        return messages

    def prompt(self) -> Prompt:
        """Return the messages as authored; a lone empty system message means "no prompt"."""
        empty = [m for m in self.messages if m["role"] == "system" and not m.get("content")]
        kept = () if len(empty) == len(self.messages) else self.messages
        return Prompt(kept, self.tools)


class Prompts(_Section):
    """The teacher's context, and the student's (absent: always on, at no tokens)."""

    teacher: PromptSection
    student: PromptSection = PromptSection()

    @model_validator(mode="after")
    def _teacher_says_something(self) -> Prompts:
        if not self.teacher.prompt().messages and not self.teacher.tools:
            raise ValueError("teacher has no messages: there is nothing to bake")
        return self


class OneshotQuestions(_Section):
    """A language model is asked for questions; without `model` the base model writes them."""

    type: Literal["oneshot_qs"]
    model: str | None = None
    numq: Count
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    template_path: str | None = None


class HardcodedQuestions(_Section):
    """Questions written out in the file."""

    type: Literal["hardcoded"]
    questions: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    numq: Count | None = None

    @model_validator(mode="after")
    def _counts_itself(self) -> HardcodedQuestions:
        if self.numq is not None and self.numq != len(self.questions):
            raise ValueError(f"numq is {self.numq} but there are {len(self.questions)} questions")
        return self


Generator = Annotated[OneshotQuestions | HardcodedQuestions, Field(discriminator="type")]


class SamplingExtras(_Section):
    """Sampling arguments beyond temperature."""

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, strict=True)] = 0


class Target(_Section):
    """Questions, and how the teacher answers them. None: the base model's default."""

    name: Name = "target"
    generators: Annotated[tuple[Generator, ...], Field(min_length=1)]
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    num_traj_per_stimulus: Count | None = None
    extra_kwargs: SamplingExtras = SamplingExtras()


class Dataset(_Section):
    """A share of the mix: a target of this file, or an earlier one by its full name."""

    target: str
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class AdapterConfig(_Section):
    """LoRA. None: the base model's default; `lora_alpha` defaults to twice the rank."""

    r: Annotated[int, Field(ge=1, le=256, strict=True)] | None = None
    lora_alpha: Annotated[float, Field(gt=0)] | None = None
    lora_dropout: Share = 0.0
    bias: Literal["none"] = "none"
    target_modules: str | tuple[str, ...] = "all-linear"


class BakeModel(_Section):
    """`BAKE.model`: what is trained on top of the parent. The parent is never set by hand."""

    type: Literal["bake"] = "bake"
    baked_adapter_config: AdapterConfig = AdapterConfig()


class Optimizer(_Section):
    """AdamW. None: the base model's default."""

    learning_rate: Annotated[float, Field(gt=0)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)


class Scheduler(_Section):
    """How the learning rate falls after the warm-up; `huggingface` means linear."""

    type: Literal["linear", "cosine", "constant", "huggingface"] = "linear"


class OnPolicy(_Section):
    """A second phase on the student's own answers. None: the bake's learning rate."""

    steps: Count = 40
    loss: Literal["reverse_kl", "jsd"] = "reverse_kl"
    learning_rate: Annotated[float, Field(gt=0)] | None = None


class Bake(_Section):
    """One training run over a weighted mix of targets. None: the base model's default."""

    name: Name = "bake"
    datasets: tuple[Dataset, ...] = ()
    epochs: Count | None = None
    micro_batch_size: Count | None = None
    gradient_accumulation_steps: Count = 1
    total_trajectories: Count | None = None
    seed: Seed = 42
    model: BakeModel = BakeModel()
    optimizer: Optimizer = Optimizer()
    scheduler: Scheduler = Scheduler()
    on_policy: OnPolicy | None = None

    @field_validator("datasets", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @field_validator("on_policy", mode="before")
    @classmethod
    def _switch_or_settings(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return {} if value else None
        return value


class _File(_Section):
    PROMPT: Prompts | None = None
    TARGET: Target | None = None
    BAKE: Bake | None = None


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What input.yml says, with the text of the template files it names."""

    prompt: Prompts | None = None
    target: Target | None = None
    bake: Bake | None = None
    templates: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is configured, as after a bake."""
        return self.prompt is None and self.target is None and self.bake is None


def load(
    text: str, *, source: str = "input.yml", read: Callable[[str], bytes] | None = None
) -> InputSpec:
    """Return what a file says; `read` gives the bytes of a template path (from git, say).

    Raises ConfigError with line and column of every problem at once.
    """
    _refuse_secrets(text, source)
    document = yaml_text.parse(text, source)
    if document is None:
        return InputSpec()
    if not isinstance(document, Mapping):
        raise ConfigError(
            f"{source}:1:1: expected the sections PROMPT, TARGET and BAKE",
            hint="`bgit init` writes an example to start from.",
        )
    filled = {key: value for key, value in yaml_text.plain(document).items() if value is not None}
    try:
        file = _File.model_validate(filled)
    except ValidationError as error:
        raise yaml_text.validation_error(error, document, source, _File) from error
    _check_sections(file, document, source)
    return InputSpec(
        file.PROMPT, file.TARGET, file.BAKE, _templates(file.TARGET, document, source, read)
    )


def _check_sections(file: _File, document: Any, source: str) -> None:
    if file.TARGET is not None and file.PROMPT is None:
        line, column = yaml_text.position(document, ["TARGET"], key=True)
        raise ConfigError(
            f"{source}:{line}:{column}: TARGET needs PROMPT.teacher",
            hint="Say under PROMPT.teacher.messages what shall be baked in.",
        )


def _templates(
    target: Target | None, document: Any, source: str, read: Callable[[str], bytes] | None
) -> dict[str, str]:
    """Read and check the question templates that generators name."""
    texts: dict[str, str] = {}
    for index, generator in enumerate(target.generators if target else ()):
        path = getattr(generator, "template_path", None)
        if path is None:
            continue
        where = "{}:{}:{}".format(
            source, *yaml_text.position(document, ["TARGET", "generators", index, "template_path"])
        )
        texts[path] = _template_text(path, where, read)
    return texts


def _template_text(path: str, where: str, read: Callable[[str], bytes] | None) -> str:
    if path.startswith(("/", "~")) or ".." in path.replace("\\", "/").split("/"):
        raise ConfigError(
            f"{where}: template_path {path!r} leaves the repository",
            hint="Put the template beside input.yml, e.g. in templates/.",
        )
    if read is None:
        raise ConfigError(f"{where}: template files cannot be read here")
    try:
        raw = read(path)
    except (OSError, BakeryError) as error:
        raise ConfigError(
            f"{where}: template {path!r} cannot be read: {error}",
            hint=f"Write it, then `bgit add {path}`.",
        ) from error
    if len(raw) > MAX_TEMPLATE_BYTES:
        raise ConfigError(f"{where}: template {path!r} is larger than 1 MiB")
    try:
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: template {path!r} is not UTF-8 text") from error
    names = set(Template(text).get_identifiers()) if Template(text).is_valid() else set()
    if names != {"numq", "prompt_u"}:
        raise ConfigError(
            f"{where}: template {path!r} must hold ${{numq}} and ${{prompt_u}}, "
            f"and no other $-name (a plain dollar sign is written $$)"
        )
    return text


_SECRETS = re.compile(
    r"sk-[A-Za-z0-9_-]{20,}|hf_[A-Za-z0-9]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}"
    r"|AIza[A-Za-z0-9_-]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


def _refuse_secrets(text: str, source: str) -> None:
    """Refuse what looks like an API key: git history would keep it for ever."""
    for number, line in enumerate(text.splitlines(), start=1):
        match = _SECRETS.search(line)
        if match:
            raise ConfigError(
                f"{source}:{number}:{match.start() + 1}: this looks like an API key "
                f"({match.group()[:4]}…)",
                hint="Take it out: git keeps every version. Keys are read from the environment, "
                "e.g. OPENAI_API_KEY. If it was committed before, revoke it.",
            )
