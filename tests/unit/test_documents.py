"""What is written from the code is current, complete, and says nothing that is not true."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Annotated

import pytest
from click.testing import CliRunner
from pydantic import BaseModel, TypeAdapter

from bakery import schema
from bakery.cli.check import check
from bakery.schema import json_schema
from bakery.schema.problems import models_in
from bakery.yaml import text as yaml_text

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("document_input")


def test_the_page_and_the_schema_of_input_yml_are_current(tool):
    for path, text in tool.made().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: run `make docs`"


def test_every_key_is_explained_with_an_example(tool):
    found = json_schema.schema()
    for _, name, model in tool.sections(found):
        for key, field in model["properties"].items():
            assert field.get("description"), f"{name}.{key} has no description"
            removed = "not" in field
            assert removed or tool.example(name, key, field), f"{name}.{key} has no example"


def models() -> dict[str, type[BaseModel]]:
    found: dict[str, type[BaseModel]] = {}

    def add(model: type[BaseModel]) -> None:
        if model.__name__ not in found:
            found[model.__name__] = model
            for field in model.model_fields.values():
                for below in models_in(field.annotation):
                    add(below)

    add(schema.File)
    return found


def test_every_example_is_what_its_key_takes(tool):
    known = models()
    for name, examples in tool.EXAMPLES.items():
        for key, text in examples.items():
            field = known[name].model_fields[key]
            if "..." in text or key in ("on_policy", "extra_kwargs"):
                continue
            kind = (
                Annotated[field.annotation, *field.metadata]
                if field.metadata
                else (field.annotation)
            )
            TypeAdapter(kind).validate_python(yaml_text.plain(yaml_text.parse(text, name)))


def test_the_example_of_the_page_is_valid(tool):
    text = tool.INTRO.split("```yaml\n")[1].split("```")[0]
    spec = schema.load(text)
    assert (spec.bake.epochs, spec.warnings) == (3, ())


def test_the_schema_is_printed_for_editors():
    result = CliRunner().invoke(check, ["--schema"])
    assert result.exit_code == 0
    assert json.loads(result.output) == json_schema.schema()


def test_the_schema_for_editors_takes_the_short_ways_of_writing():
    found = json_schema.schema()
    models = found["$defs"]
    assert {"$ref": "#/$defs/Target"} in found["properties"]["TARGET"]["anyOf"]
    assert {"$ref": "#/$defs/Dataset"} in models["Bake"]["properties"]["datasets"]["anyOf"]
    assert {"type": "boolean"} in models["Bake"]["properties"]["on_policy"]["anyOf"]
    assert models["Target"]["anyOf"][1] == {"required": ["template"]}
    assert models["BakeModel"]["properties"]["name_or_path"]["not"] == {}
    assert models["Bake"]["additionalProperties"] is False
