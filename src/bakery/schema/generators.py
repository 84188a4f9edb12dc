"""`TARGET.generators`: what writes the questions, one type each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from string import Template
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from bakery.schema import data_sets
from bakery.schema.common import Count, Number, Path, Section, Seed
from bakery.yaml import text as yaml_text

PERSONA_QUESTIONS = 264
"""How many questions the type `persona` has."""

Temperature = Annotated[
    Number | None,
    Field(
        ge=0,
        le=2,
        description="Temperature of the writer. None: 0.7 for a model of this machine (1 for "
        "`tiny`), and 1 for an endpoint.",
    ),
]
Conditioned = Annotated[
    bool,
    Field(description="Its questions are answered behind the student prompt, not the teacher's."),
]
Fallback = Annotated[
    bool,
    Field(
        description="Whether the base writes in the place of a hosted `model` that cannot be "
        "asked here. `false` makes that an error. Not part of the id."
    ),
]
MaxTokens = Annotated[Count | None, Field(description="Most tokens of one reply of the writer.")]


HoldOut = Annotated[
    bool,
    Field(description="Its questions are measured on, and not learnt."),
]


class _Fixed(Section):
    """Questions that no model writes."""

    max_tokens: MaxTokens = None
    rollout_with_conditioned: Conditioned = False

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Name what would only matter to a model that writes."""
        for key in ("max_tokens", "temperature", "model"):
            if getattr(self, key, None) is not None:
                yield (key,), f"`{key}` changes nothing here: no model writes these questions"


class _Asked(Section):
    """Questions that a language model writes."""

    model: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Who writes: a hosted model, `base`, `tiny`, a folder, a .gguf file, a "
            "hub id, or an earlier bake. None: the base model.",
        ),
    ] = None
    numq: Annotated[Count, Field(description="How many different questions.")]
    temperature: Temperature = None
    template_path: Annotated[
        str | None, Field(description="A file of the repository: what the writer is asked.")
    ] = None
    max_tokens: MaxTokens = None
    rollout_with_conditioned: Conditioned = False
    fallback: Fallback = True


class OneshotQuestions(_Asked):
    """A language model is asked for questions; without `model` the base model writes them."""

    type: Annotated[Literal["oneshot_qs"], Field(description="One model writes many.")]
    template_content: Annotated[
        str | None, Field(description="The text itself, written out here.")
    ] = None

    @field_validator("template_content")
    @classmethod
    def _is_a_template(cls, text: str | None) -> str | None:
        if text is not None and (problem := template_problem(text, complete=True)):
            raise ValueError(problem)
        return text

    @model_validator(mode="after")
    def _one_template(self) -> OneshotQuestions:
        if self.template_path is not None and self.template_content is not None:
            raise ValueError("template_path and template_content are both given: keep one")
        return self


class CustomQuestions(_Asked):
    """A language model is asked in the user's own words, with or without the teacher prompt."""

    type: Annotated[
        Literal["custom"], Field(description="One model writes many, asked in your words.")
    ]
    template_path: Annotated[
        str, Field(description="A file of the repository: what the writer is asked.")
    ]


def _has_a_question(written: Any) -> Any:
    if isinstance(written, Mapping):
        if "question" not in written:
            raise ValueError(
                "a row needs the key `question`; a text with a colon in it is written in quotes"
            )
        if not isinstance(written["question"], str) or not written["question"]:
            raise ValueError("`question` of a row is not text: put quotes around it")
    return written


class HardcodedQuestions(_Fixed):
    """Questions written out in the file."""

    type: Annotated[Literal["hardcoded"], Field(description="They stand in the file.")]
    questions: Annotated[
        tuple[
            Annotated[
                Annotated[str, Field(min_length=1)] | dict[str, Any],
                BeforeValidator(_has_a_question),
            ],
            ...,
        ],
        Field(
            min_length=1,
            description="The questions, as they are asked; or rows of `question` and a value "
            "for each `{variable}` of the target's prompts.",
        ),
    ]
    hold_out: HoldOut = False
    numq: Annotated[Count | None, Field(description="Must be their number.")] = None

    @model_validator(mode="after")
    def _counts_itself(self) -> HardcodedQuestions:
        if self.numq is not None and self.numq != len(self.questions):
            raise ValueError(f"numq is {self.numq} but there are {len(self.questions)} questions")
        return self


class DatasetQuestions(_Fixed):
    """Questions drawn from a data set: one of the known, of the hub, or a file of one's own."""

    type: Annotated[Literal["from_dataset"], Field(description="They are drawn from data.")]
    dataset: Annotated[
        str,
        Field(
            description=f"{', '.join(data_sets.KNOWN)}; an id of the hub, `org/name`; or a file "
            f"of the repository ({', '.join(data_sets.FILE_KINDS)})."
        ),
    ]
    numq: Annotated[Count | None, Field(description="How many are drawn. None: all.")] = None
    seed: Annotated[Seed, Field(description="Another number, other questions.")] = 42
    split: Annotated[
        str | None, Field(min_length=1, description="Unset: `train`; of mmlu, `test`.")
    ] = None
    config: Annotated[
        str | None, Field(min_length=1, description="Which part of a data set of the hub.")
    ] = None
    field: Annotated[
        str | None,
        Field(min_length=1, description="The column. None: the first of the usual names."),
    ] = None

    @field_validator("dataset")
    @classmethod
    def _can_be_found(cls, dataset: str) -> str:
        if data_sets.leaves_repository(dataset):
            raise ValueError(
                "leaves the repository: put the file beside input.yml, and write its path from "
                "there"
            )
        if data_sets.is_file(dataset):
            if not dataset.lower().endswith(data_sets.FILE_KINDS):
                raise ValueError(
                    f"is not a kind of file that can be read: {', '.join(data_sets.FILE_KINDS)}"
                )
        elif dataset not in data_sets.KNOWN and not data_sets.is_hub_id(dataset):
            if guess := yaml_text.nearest(dataset, list(data_sets.KNOWN)):
                raise ValueError(f"no such data set; did you mean `{guess}`?")
            known = ", ".join(data_sets.KNOWN)
            raise ValueError(f"no such data set; there are {known}, org/name, and files")
        return dataset

    @model_validator(mode="after")
    def _fits_a_file(self) -> DatasetQuestions:
        if data_sets.is_file(self.dataset) and self.config is not None:
            raise ValueError("a file has no config: take `config` out")
        return self


class PersonaQuestions(_Fixed):
    """Questions that show who answers: a set of this project's own, on nine themes."""

    type: Annotated[
        Literal["persona"], Field(description="They are drawn from a set that is shipped.")
    ]
    numq: Annotated[Count | None, Field(description="How many are drawn. None: all.")] = None
    seed: Annotated[Seed, Field(description="Another number, other questions.")] = 42
    temperature: Annotated[Temperature, Field(description="No effect: no model writes these.")] = (
        None
    )
    model: Annotated[str | None, Field(description="No effect: no model writes these.")] = None

    @field_validator("numq")
    @classmethod
    def _are_there(cls, numq: int | None) -> int | None:
        if numq is not None and numq > PERSONA_QUESTIONS:
            raise ValueError(f"there are {PERSONA_QUESTIONS} persona questions")
        return numq


class FactsQuestions(Section):
    """Questions that each statement of the teacher prompt answers: by rules, or by a model."""

    type: Annotated[Literal["facts"], Field(description="The prompt is taken apart.")]
    per_statement: Annotated[
        Count, Field(description="Most questions for each statement; rules have up to ten.")
    ] = 8
    numq: Annotated[Count | None, Field(description="Most of all. None: as they come.")] = None
    seed: Annotated[Seed, Field(description="Another number, other things unsaid.")] = 42
    model: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Who writes, as for `oneshot_qs`. None: rules for English, no model.",
        ),
    ] = None
    temperature: Temperature = None
    max_tokens: MaxTokens = None
    rollout_with_conditioned: Conditioned = False
    hold_out: HoldOut = False
    fallback: Fallback = True

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Name what would only matter to a model that writes."""
        for key in ("max_tokens", "temperature"):
            if self.model is None and getattr(self, key) is not None:
                yield (key,), f"`{key}` changes nothing here: rules write these questions"


Generator = Annotated[
    OneshotQuestions
    | HardcodedQuestions
    | DatasetQuestions
    | PersonaQuestions
    | FactsQuestions
    | CustomQuestions,
    Field(discriminator="type"),
]


def template_problem(text: str, *, complete: bool) -> str | None:
    """Return what is wrong with the text of a template, or None.

    A complete one holds both names; else it may, but no other.
    """
    if not text.strip():
        return "is empty"
    template = Template(text)
    names = set(template.get_identifiers()) if template.is_valid() else {"?"}
    allowed = {"numq", "prompt_u"}
    if names <= allowed and (names == allowed or not complete):
        return None
    must = "must" if complete else "may"
    return (
        f"{must} hold ${{numq}} and ${{prompt_u}}, and no other $-name "
        "(a plain dollar sign is written $$)"
    )
