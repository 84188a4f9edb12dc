"""A number of a file is a number: neither `true` nor a text stands for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError, create_model

from bakery import schema
from bakery.errors import ConfigError
from bakery.schema.files import File
from bakery.schema.problems import models_in
from bakery.schema.tests import Suite

TEXT = """\
PROMPT: {teacher: Hi}
TARGET: {name: a, SETTING, generators: [{type: facts, HELD}]}
BAKE: {name: b}
"""


def numbers() -> Iterator[Any]:
    found: list[type[BaseModel]] = [File, Suite]
    for model in found:
        for name, field in model.model_fields.items():
            found += [one for one in models_in(field.annotation) if one not in found]
            if {int, float} & plain(field.annotation) and bool not in plain(field.annotation):
                yield pytest.param(field, id=f"{model.__name__}.{name}")


def plain(annotation: Any) -> set[Any]:
    inside = get_args(annotation)
    if not inside:
        return {annotation}
    found: set[Any] = set()
    for one in inside:
        found |= plain(one)
    return found


@pytest.mark.parametrize("value", [True, "1", "0.5", [True, 0.0], ["1", "0"]])
@pytest.mark.parametrize("field", list(numbers()))
def test_no_truth_and_no_text_is_a_number(field: Any, value: Any) -> None:
    if isinstance(value, str) and str in plain(field.annotation):
        pytest.skip("a word may stand here, too")
    alone = create_model("Alone", value=(field.annotation, field))
    with pytest.raises(ValidationError):
        alone(value=value)


@pytest.mark.parametrize("given", ["true", "'0.5'", '"1e-1"'])
def test_it_is_refused_with_file_and_line(given: str) -> None:
    text = TEXT.replace("SETTING", f"temperature: {given}").replace(", HELD", "")
    with pytest.raises(ConfigError, match=r"input.yml:2:32: TARGET.temperature: expected a number"):
        schema.load(text)


@pytest.mark.parametrize(("given", "value"), [("1e-1", 0.1), ("1", 1.0), (".5", 0.5)])
def test_every_way_to_write_a_number_counts(given: str, value: float) -> None:
    text = TEXT.replace("SETTING", f"temperature: {given}").replace(", HELD", "")
    assert schema.load(text).targets[0].temperature == value


@pytest.mark.parametrize("given", ["true", "yes", "on", "True", "YES"])
def test_the_words_of_older_yaml_mean_what_they_say(given: str) -> None:
    text = TEXT.replace("SETTING, ", "").replace("HELD}", f"hold_out: {given}}}, {{type: persona}}")
    generator = schema.load(text).targets[0].generators[0]
    assert getattr(generator, "hold_out", None) is True


def test_another_word_is_neither_yes_nor_no() -> None:
    text = TEXT.replace("SETTING, ", "").replace("HELD", "hold_out: ja")
    with pytest.raises(ConfigError, match="expected true or false"):
        schema.load(text)
