"""docs/questions.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from bakery.backends.endpoint import PROVIDERS, RETRIES
from bakery.schema import data_sets, load
from bakery.schema.generators import PERSONA_QUESTIONS
from bakery.schema.model_names import kind_of
from bakery.schema.targets import SamplingExtras

PAGE = (Path(__file__).parents[2] / "docs" / "questions.md").read_text(encoding="utf-8")


def test_the_example_is_a_target() -> None:
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    prompt = "PROMPT: {teacher: {messages: [{role: system, content: Yoda}]}}\n"
    spec = load(prompt + example, read=lambda path: b"${numq} ${prompt_u}\nquestion\n")
    assert [g.type for g in spec.targets[0].generators][2:] == [
        "hardcoded",
        "facts",
        "from_dataset",
        "persona",
    ]


def test_the_known_data_sets_are_listed_where_they_are() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `([\w./-]+)`.*\| `(\w+)` \|$", PAGE, re.MULTILINE)
    assert listed == [(name, found.id, found.field) for name, found in data_sets.KNOWN.items()]


def test_every_kind_of_file_and_every_setting_is_named() -> None:
    kinds = {kind for kind in data_sets.FILE_KINDS if kind != ".ndjson"}
    assert all(f"`{kind}`" in PAGE for kind in kinds)
    assert all(f"`{name}`" in PAGE for name in SamplingExtras.model_fields)


def test_numbers_and_variables_are_those_of_the_code() -> None:
    assert f"from {PERSONA_QUESTIONS} of our own" in PAGE
    assert RETRIES == 5
    assert all(f"`{provider.key}`" in PAGE for provider in PROVIDERS)
    assert all(f"`{p}…`" in PAGE for provider in PROVIDERS for p in provider.prefixes[:1])


def test_the_names_of_models_mean_what_is_said() -> None:
    names = ["base", "yoda_bake", "tiny", "./folder", "/folder", "org/name", "gpt-5", "hosted:NAME"]
    kinds = ["base", "word", "local", "local", "local", "local", "word", "hosted"]
    assert [kind_of(name) for name in names] == kinds
