"""`TARGET`: who is asked what, and how the teacher answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bakery.schema.common import Count, Name, Path, Section
from bakery.schema.prompts import STUDENT, TEACHER


class OneshotQuestions(Section):
    """A language model is asked for questions; without `model` the base model writes them."""

    type: Literal["oneshot_qs"]
    model: str | None = None
    numq: Count
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    template_path: str | None = None


class HardcodedQuestions(Section):
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


class SamplingExtras(Section):
    """Sampling arguments beyond temperature."""

    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, strict=True)] = 0


class Target(Section):
    """Questions, and how the teacher answers them. None: the base model's default."""

    name: Name = "target"
    teacher_prompt: str | None = None
    student_prompt: str | None = None
    u: str | None = None
    v: str | None = None
    generators: Annotated[tuple[Generator, ...], Field(min_length=1)]
    max_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    num_traj_per_stimulus: Count | None = None
    extra_kwargs: SamplingExtras = SamplingExtras()

    @model_validator(mode="after")
    def _one_name_each(self) -> Target:
        for former, now in (("u", "teacher_prompt"), ("v", "student_prompt")):
            old, new = getattr(self, former), getattr(self, now)
            if None not in (old, new) and old != new:
                raise ValueError(f"{former} says {old!r} and {now} {new!r}: drop `{former}`")
        return self

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Name the former keys."""
        for former, now in (("u", "teacher_prompt"), ("v", "student_prompt")):
            if getattr(self, former) is not None:
                yield (former,), f"`{former}` is the former name of `{now}`"

    @property
    def teacher(self) -> str:
        """The name of the prompt that is baked in."""
        return self.teacher_prompt or self.u or TEACHER

    @property
    def student(self) -> str:
        """The name of the prompt that will trigger it; where there is none, it is always on."""
        return self.student_prompt or self.v or STUDENT
