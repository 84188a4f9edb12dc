"""The JSON Schema of input.yml: what editors complete and check by."""

from __future__ import annotations

import json
from typing import Any

from bakery.schema.files import File

# Shorter ways of writing that are read, too.
_SHORTER: dict[tuple[str, str], dict[str, Any]] = {
    ("File", "TARGET"): {"$ref": "#/$defs/Target"},
    ("PromptSection", "messages"): {"type": "null"},
    ("PromptSection", "tools"): {"type": "null"},
    ("Bake", "datasets"): {"$ref": "#/$defs/Dataset"},
    ("Bake", "on_policy"): {"type": "boolean"},
    ("SamplingExtras", "stop"): {"type": "string"},
}


_SHAPES = {"type", "anyOf", "oneOf", "allOf", "enum", "const", "$ref"}


def text() -> str:
    """Return the schema as a JSON text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the schema: that of the models, with the shorter ways of writing."""
    found: dict[str, Any] = File.model_json_schema()
    models = {**found["$defs"], "File": found}
    for model in models.values():
        for field in model.get("properties", {}).values():
            field.pop("title", None)
    for (model_name, field_name), shorter in _SHORTER.items():
        field = models[model_name]["properties"][field_name]
        about = {key: field.pop(key) for key in ("description", "default") if key in field}
        ways = field.get("anyOf", [dict(field)])
        models[model_name]["properties"][field_name] = {"anyOf": [*ways, shorter], **about}
    _let_inherit(models["Target"])
    _let_be_empty(found["properties"]["PROMPT"])
    for model in models.values():
        for key, field in model.get("properties", {}).items():
            if not _SHAPES & field.keys():  # it is there to be refused with advice
                model["properties"][key] = {"not": {}, "description": field["description"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "input.yml of bgit",
    }


def _let_inherit(target: dict[str, Any]) -> None:
    """Allow a target without what its template has."""
    required = target.pop("required")
    target["anyOf"] = [{"required": required}, {"required": ["template"]}]


def _let_be_empty(prompts: dict[str, Any]) -> None:
    """Allow a prompt that is a text, and one of which only the name is there: it says nothing."""
    by_name = prompts["anyOf"][0]["patternProperties"]
    for pattern, prompt in by_name.items():
        by_name[pattern] = {"anyOf": [prompt, {"type": "string"}, {"type": "null"}]}
