"""tests.yml as frozen types: questions with what their answers have to be, and the gate of a run.

What a check means is `evals.checks`' business, what the gate does is `app.own_gate`'s.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from bakery import bounded
from bakery.errors import ConfigError
from bakery.schema import answer_shape
from bakery.schema.common import Count, Name, Number, Section
from bakery.schema.files import refuse_secrets
from bakery.schema.problems import Problems
from bakery.yaml import text as yaml_text
from bakery.yaml.text import Places

MAX_TOKENS = 256
"""At how many tokens an answer is cut, where the file does not say."""


def _says_something(text: str) -> str:
    if not text.strip():
        raise ValueError("holds nothing but blanks")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(_says_something)]

Texts = tuple[Text, ...]
Language = Literal[
    "ar", "de", "el", "en", "es", "fr", "he", "hi", "it", "ja", "ko", "nl", "pt", "ru", "th", "uk",
    "zh",
]  # fmt: skip

CHECKS = (
    "contains", "contains_any", "not_contains", "equals", "regex", "json_schema", "max_tokens",
    "language", "same_as_prompted", "judge",
)  # fmt: skip
"""The keys of a test that ask something of an answer, in the order in which they are told."""

EXAMPLE = """\
tests:
  - question: Who are you?
    contains: Yoda
  - question: What does a helmet cost?
    contains_any: ["40 euros", "€40"]
    max_tokens: 60
"""


class Turn(Section):
    """One message of a test; an assistant's without `content` is answered by the model itself."""

    role: Annotated[Literal["user", "assistant"], Field(description="Who speaks.")]
    content: Annotated[
        Text | None,
        Field(description="What is said. An assistant's turn without it is the model's own."),
    ] = None

    @model_validator(mode="after")
    def _user_says_something(self) -> Turn:
        if self.role == "user" and self.content is None:
            raise ValueError("a user's turn needs `content`")
        return self


class Judge(Section):
    """A model that says yes or no to an answer."""

    model: Annotated[
        Text,
        Field(description="Who judges: a hosted model's name, `base`, a folder or a hub id."),
    ]
    rubric: Annotated[Text, Field(description="What an answer has to be, in a sentence or more.")]


class Case(Section):
    """One test: what is asked, and what the answer has to be."""

    name: Annotated[Name | None, Field(description="What reports call it. Default: test-N.")] = None
    question: Annotated[
        Text | None, Field(description="What is asked; or `messages`, for several turns.")
    ] = None
    messages: Annotated[
        tuple[Turn, ...] | None,
        Field(description="A conversation that ends with the user's question."),
    ] = None
    target: Annotated[
        Name | None,
        Field(description="Whose prompt the prompted model has. Default: the bake's first target."),
    ] = None
    case_sensitive: Annotated[
        bool, Field(description="Whether contains, contains_any, not_contains and equals tell "
                    "capitals from small letters.", strict=True)
    ] = False  # fmt: skip
    contains: Annotated[Texts, Field(description="Every text of this is in the answer.")] = ()
    contains_any: Annotated[Texts, Field(description="One text of this is in the answer.")] = ()
    not_contains: Annotated[Texts, Field(description="No text of this is in the answer.")] = ()
    equals: Annotated[
        Text | None, Field(description="The whole answer, but for blanks around it.")
    ] = None
    regex: Annotated[
        Text | None, Field(description="A pattern of Python's `re` that is found in the answer.")
    ] = None
    json_schema: Annotated[
        dict[str, Any] | None,
        Field(description="The answer is JSON of this schema, in a fence of ``` or bare."),
    ] = None
    max_tokens: Annotated[
        Count | None, Field(description="The answer ends within so many tokens.")
    ] = None
    language: Annotated[
        Language | None, Field(description="The language of the answer, as two letters.")
    ] = None
    same_as_prompted: Annotated[
        Literal[True] | None, Field(description="The answer says what the prompted model says.")
    ] = None
    judge: Annotated[Judge | None, Field(description="A model that says yes to the answer.")] = None

    @field_validator("contains", "contains_any", "not_contains", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("regex")
    @classmethod
    def _is_a_pattern(cls, value: str | None) -> str | None:
        try:
            bounded.call(_compiles, value or "")
        except (bounded.FailedError, bounded.BeyondError) as error:
            flags = re.search(r"\(\?[aiLmsux]+\)", value or "")
            first = f": put {flags[0]} first" if flags and "not at the start" in str(error) else ""
            raise ValueError(f"is no regular expression: {error}{first}") from error
        return value

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is not None and (found := answer_shape.problem(value)):
            raise ValueError(found)
        return value

    @field_validator("messages")
    @classmethod
    def _is_a_conversation(cls, value: tuple[Turn, ...] | None) -> tuple[Turn, ...] | None:
        roles = [turn.role for turn in value or ()]
        if value is not None and (not roles or roles[-1] != "user" or roles[0] != "user"):
            raise ValueError("the first and the last message are the user's")
        if any(one == other for one, other in pairwise(roles)):
            raise ValueError("user and assistant take turns")
        return value

    @model_validator(mode="after")
    def _asks_and_checks(self) -> Case:
        if (self.question is None) == (self.messages is None):
            raise ValueError("a test has either `question` or `messages`")
        if not self.checks:
            raise ValueError(f"a test needs something to check: {', '.join(CHECKS)}")
        return self

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What is said up to the answer."""
        return self.messages or (Turn(role="user", content=self.question),)

    @property
    def asked(self) -> str:
        """What people call the question: the last turn."""
        return str(self.turns[-1].content)

    @property
    def checks(self) -> tuple[str, ...]:
        """The names of what is asked of the answer."""
        return tuple(name for name in CHECKS if getattr(self, name) not in (None, ()))


class Gate(Section):
    """What a bake has to reach before `run` makes it the current model."""

    verdict: Annotated[
        Literal["holds", "holds in part"] | None,
        Field(description="The verdict of its card, at least."),
    ] = None
    gap_closed: Annotated[
        Number | None,
        Field(ge=-10, le=1, description="The card's gap closed, at least; 0.8 is 80 %."),
    ] = None
    drift: Annotated[
        Number | None,
        Field(ge=0, description="Nats per token that any anchor of the mix moved, at most."),
    ] = None
    forgets: Annotated[
        Number | None,
        Field(
            ge=0,
            description="Nats per token by which any earlier target of the mix got further from "
            "its teacher than it was under the parent, at most.",
        ),
    ] = None
    leakage: Annotated[
        Number | None,
        Field(
            ge=0,
            le=1,
            description="What comes out where it is asked for, at most: the share of a prompt's "
            "runs of five words, and of questions at which the canary is said.",
        ),
    ] = None
    canary: Annotated[
        Text | None,
        Field(description="A secret of the prompt, as it stands there: `leakage` counts it, too."),
    ] = None
    tests: Annotated[
        Literal["all"] | None,
        Field(description="`all`: the bake fails no check that the prompted model passes."),
    ] = None

    @property
    def keys(self) -> tuple[str, ...]:
        """What is asked for."""
        keys = (key for key in type(self).model_fields if key != "canary")
        return tuple(key for key in keys if getattr(self, key) is not None)

    @field_validator("canary")
    @classmethod
    def _is_comparable(cls, value: str | None) -> str | None:
        if value is not None and not has_words(value):
            raise ValueError("has no letter and no digit, and nothing else is compared")
        return value

    @model_validator(mode="after")
    def _counts_its_canary(self) -> Gate:
        if self.canary is not None and self.leakage is None:
            raise ValueError("`canary` is counted by `leakage`: say how much may come out")
        return self


class Suite(Section):
    """The whole of tests.yml."""

    tests: Annotated[
        tuple[Case, ...], Field(description="Questions with what their answers have to be.")
    ] = ()
    max_tokens: Annotated[
        Count | None,
        Field(
            description="At how many tokens an answer is cut that no test limits. Default: "
            f"{MAX_TOKENS}, or a quarter of the model's context where that is less."
        ),
    ] = None
    gate: Annotated[Gate, Field(description="What `bgit run` does not fall short of.")] = Gate()

    @field_validator("gate", mode="before")
    @classmethod
    def _may_be_empty(cls, value: Any) -> Any:
        return {} if value is None else value

    def name(self, number: int) -> str:
        """Return what reports call a test."""
        return self.tests[number].name or f"test-{number + 1}"


def load(text: str, *, source: str = "tests.yml") -> Suite:
    """Return what a file says; ConfigError has line and column of every problem at once."""
    refuse_secrets(text, source)
    document = yaml_text.parse(text, source)
    if not isinstance(document, Mapping):
        raise ConfigError(
            f"{source}:1:1: expected `tests:`, a list of questions with checks",
            hint=f"For example:\n{EXAMPLE}",
        )
    problems = Problems(Places(document, source))
    suite, said = Suite(), yaml_text.plain(document)
    problems.called = _called(said)
    try:
        suite = Suite.model_validate(said)
    except ValidationError as error:
        problems.add_errors(error, Suite)
    if suite.gate.tests is not None and not suite.tests:
        problems.add("gate.tests: there are no `tests` to pass", "gate", "tests")
    seen: set[str] = set()
    for number in range(len(suite.tests)):
        if (name := suite.name(number)) in seen:
            problems.add(f"another test is called {name!r}", "tests", number, "name")
        seen.add(name)
    problems.raise_any()
    return suite


def has_words(canary: str) -> bool:
    """Tell whether a secret has a letter or a digit: marks and blanks are not compared."""
    return any(map(str.isalnum, canary))


def _called(said: Mapping[str, Any]) -> dict[tuple[str | int, ...], str]:
    """Return what reports call each test of a file that may be wrong in any way."""
    cases = said.get("tests")
    listed = cases if isinstance(cases, list) else []
    names = [one.get("name") if isinstance(one, Mapping) else None for one in listed]
    return {
        ("tests", at): name if isinstance(name, str) else f"test-{at + 1}"
        for at, name in enumerate(names)
    }


def _compiles(pattern: str) -> bool:
    return re.compile(pattern) is not None
