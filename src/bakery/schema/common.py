"""What the sections of input.yml share: strictness, remarks, and the shapes of values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

Number = Annotated[float, Field(strict=True)]
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=1 << 32, strict=True)]
Share = Annotated[Number, Field(ge=0, lt=1, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]

Path: TypeAlias = tuple[str | int, ...]


class Section(BaseModel):
    """A mapping of input.yml: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    def remarks(self) -> Iterator[tuple[Path, str]]:
        """Yield what this section accepts and does differently: the key's path, a sentence.

        A section with something to say overrides this; sections below speak for themselves.
        """
        yield from ()


def remarks_in(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the remarks of a section and of all below it, by their paths in the file."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from remarks_in(item, (*path, index))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from remarks_in(item, (*path, key))
    elif isinstance(value, Section):
        yield from ((path + below, sentence) for below, sentence in value.remarks())
        for name in type(value).model_fields:
            if name in value.model_fields_set:
                yield from remarks_in(getattr(value, name), (*path, name))


@dataclass(frozen=True, slots=True)
class AsWritten:
    """Checks a value against a model, and keeps what was written."""

    model: type[BaseModel]

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate by the model, return the value itself."""

        def checked(value: Any, check: Any) -> Any:
            check(value)
            return value

        return core_schema.no_info_wrap_validator_function(
            checked, handler.generate_schema(self.model)
        )
