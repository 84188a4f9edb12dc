"""The JSON Schema of input.yml: what editors complete and check by."""

from __future__ import annotations

import json
from typing import Any

from bakery.schema.files import File

# Shorter ways of writing that are read, too.
_SHORTER: dict[tuple[str, str], dict[str, Any]] = {
    ("File", "TARGET"): {"$ref": "#/$defs/Target"},
    ("File", "PROMPT"): {"type": "null"},
    ("Bake", "datasets"): {"$ref": "#/$defs/Dataset"},
    ("Bake", "on_policy"): {"type": "boolean"},
    ("SamplingExtras", "stop"): {"type": "string"},
}


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
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "title": "input.yml of bgit",
    }
