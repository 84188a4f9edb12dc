"""`TARGET`: who is asked what, and how the teacher answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import (
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from bakery.records import Prompt
from bakery.schema.common import Count, Name, Number, Path, Section, Seed
from bakery.schema.generators import Generator
from bakery.schema.model_names import kind_of
from bakery.schema.prompts import STUDENT, TEACHER, PromptSection, system

SAID_ELSEWHERE = (
    "messages", "model", "n", "stream", "tools", "temperature", "max_tokens",
    "max_completion_tokens",
)  # fmt: skip
"""Arguments of an endpoint that other keys of input.yml decide."""

Text = Annotated[str, Field(min_length=1)]


class SamplingExtras(Section):
    """Sampling arguments beyond temperature.

    A hosted model is handed any other argument of its endpoint as it is.
    """

    top_p: Annotated[
        Number, Field(gt=0, le=1, description="Only the likeliest tokens that together have this.")
    ] = 1.0
    top_k: Annotated[
        int, Field(ge=0, strict=True, description="Only so many of the likeliest tokens; 0: all.")
    ] = 0
    min_p: Annotated[
        Number,
        Field(
            ge=0, le=1, description="Only tokens at least this times as likely as the likeliest."
        ),
    ] = 0.0
    repetition_penalty: Annotated[
        Number, Field(gt=0, description="Divides the logits of what prompt and answer hold.")
    ] = 1.0
    frequency_penalty: Annotated[
        Number, Field(ge=-2, le=2, description="Taken off a token for each time the answer has it.")
    ] = 0.0
    presence_penalty: Annotated[
        Number, Field(ge=-2, le=2, description="Taken off every token that the answer has.")
    ] = 0.0
    stop: Annotated[
        tuple[Text, ...], Field(max_length=16, description="Texts before which an answer ends.")
    ] = ()
    seed: Annotated[Seed | None, Field(description="Another number, other answers.")] = None

    _passed: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @property
    def passed(self) -> dict[str, Any]:
        """What is handed to an endpoint as it is."""
        return self._passed


class Target(Section):
    """Questions, and how the teacher answers them. None: the base model's default."""

    name: Annotated[Name, Field(description="What BAKE.datasets calls it; its id is added.")] = (
        "target"
    )
    template: Annotated[
        str,
        Field(
            description="Another target of this file, or one of an earlier bake of this branch, to "
            "start from: its section, under this."
        ),
    ] = "default"
    teacher_prompt: Annotated[
        str | None, Field(description="The prompt to bake in. Default: `teacher`.")
    ] = None
    student_prompt: Annotated[
        str | None,
        Field(description="The prompt that will trigger it. Default: `student`, else none."),
    ] = None
    teacher: Annotated[
        Text | None,
        Field(
            description="The prompt to bake in as a text, which becomes one system message: in the "
            "place of a prompt of `PROMPT`."
        ),
    ] = None
    student: Annotated[
        str | None,
        Field(description='The same for the prompt that will trigger it; "" is none.'),
    ] = None
    u: Annotated[str | None, Field(description="Former name of `teacher_prompt`.")] = None
    v: Annotated[str | None, Field(description="Former name of `student_prompt`.")] = None
    generators: Annotated[
        tuple[Generator, ...],
        Field(min_length=1, description="What writes the questions; all of them do."),
    ]
    model_name: Annotated[
        Text | None,
        Field(
            description="Who answers: `base`, an earlier bake, a folder, .gguf file or hub id "
            "with the base's tokenizer, or a hosted model. None: the model that the next bake "
            "starts from."
        ),
    ] = None
    max_tokens: Annotated[Count | None, Field(description="Most tokens of an answer.")] = None
    temperature: Annotated[
        Number | None,
        Field(ge=0, le=2, description="Temperature of the answers; 0 takes the likeliest token."),
    ] = None
    num_traj_per_stimulus: Annotated[
        Count | None, Field(description="How many answers to each question.")
    ] = None
    max_concurrency: Annotated[
        Count | None, Field(description="Requests at once to a hosted model; 10 where unset.")
    ] = None
    extra_kwargs: Annotated[
        SamplingExtras, Field(description="Sampling arguments beyond temperature.")
    ] = SamplingExtras()

    @field_validator("extra_kwargs", mode="wrap")
    @classmethod
    def _as_the_model_takes_them(
        cls, value: Any, check: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> Any:
        model = info.data.get("model_name")
        hosted = model is not None and kind_of(model) in ("hosted", "word")
        if not hosted or not isinstance(value, Mapping):
            return check(value)
        taken = {*SamplingExtras.model_fields, *SAID_ELSEWHERE}
        known = {k: v for k, v in value.items() if k in taken}
        extras = check(known)
        extras._passed = {k: v for k, v in value.items() if k not in known}
        return extras

    @model_validator(mode="after")
    def _learns_something(self) -> Target:
        if all(getattr(generator, "hold_out", False) for generator in self.generators):
            raise ValueError("all its questions are held out: nothing would be learnt")
        return self

    @model_validator(mode="after")
    def _one_name_each(self) -> Target:
        for former, now in (("u", "teacher_prompt"), ("v", "student_prompt")):
            old, new = getattr(self, former), getattr(self, now)
            if None not in (old, new) and old != new:
                raise ValueError(f"{former} says {old!r} and {now} {new!r}: drop `{former}`")
            kind = now.removesuffix("_prompt")
            if getattr(self, kind) is not None and (old or new):
                raise ValueError(f"{kind} and {now} are both given: keep one")
        return self

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Name the former keys, and what a model of this machine does not need."""
        for former, now in (("u", "teacher_prompt"), ("v", "student_prompt")):
            if getattr(self, former) is not None:
                yield (former,), f"`{former}` is the former name of `{now}`"
        hosted = self.model_name is not None and kind_of(self.model_name) in ("hosted", "word")
        if self.max_concurrency is not None and not hosted:
            yield (
                ("max_concurrency",),
                "`max_concurrency` is for hosted models: a local one answers in batches instead",
            )

    @property
    def teacher_name(self) -> str | None:
        """The name of the prompt that is baked in; None: the target has its text."""
        return None if self.teacher is not None else self.teacher_prompt or self.u or TEACHER

    @property
    def student_name(self) -> str | None:
        """The name of the prompt that will trigger it; None: the target has its text.

        Where there is no prompt of that name, the behaviour is always on.
        """
        return None if self.student is not None else self.student_prompt or self.v or STUDENT

    def prompts(self, named: Mapping[str, PromptSection]) -> tuple[Prompt, Prompt]:
        """Return what is baked in and what will trigger it, each by its name or as its text."""

        def of(text: str | None, name: str | None) -> Prompt:
            section = named.get(name or "", PromptSection()) if text is None else system(text)
            return section.prompt()

        return of(self.teacher, self.teacher_name), of(self.student, self.student_name)
