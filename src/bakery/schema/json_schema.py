"""The JSON Schema of input.yml: what editors complete and check by."""

from __future__ import annotations

import json
from typing import Any

from bakery.schema.files import File


def text() -> str:
    """Return the schema as a JSON text."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the schema: pydantic's, with the shorter ways of writing that are read, too."""
    found: dict[str, Any] = File.model_json_schema()
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["title"] = "input.yml of bgit"
    found.pop("description", None)
    section: dict[str, Any] = found["properties"]
    section["TARGET"] = {"anyOf": [{"$ref": "#/$defs/Target"}, *section["TARGET"]["anyOf"]]}
    return found
