"""The JSON Schema of a settings file, from which editors complete and check it.

Owns: what of pydantic's schema is left out or added. docs/extproc.schema.json is what this says; `make docs` writes it.

https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from extproc.config.documents import SCHEMA_KEY
from extproc.config.settings import Settings

_TITLE = "Settings of ai-gateway-extproc"


class _Generator(GenerateJsonSchema):
    """Without a title for each key, which would only say its name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def _drop_defaults(part: dict[str, Any], parts: dict[str, Any]) -> None:
    """Leave out the default of a mapping where it says what those of its members say, which editors would write out."""
    for member in part["properties"].values():
        reference = member.get("$ref")
        if reference is not None and member.get("default") == _default(parts[_name(reference)], parts):
            del member["default"]


def _default(part: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    return {
        key: member["default"] if "default" in member else _default(parts[_name(member["$ref"])], parts)
        for key, member in part["properties"].items()
        if "default" in member or "$ref" in member
    }


def _name(reference: str) -> str:
    return reference.removeprefix("#/$defs/")


def build_schema() -> dict[str, Any]:
    """Return the schema."""
    schema = Settings.model_json_schema(schema_generator=_Generator)
    parts = schema["$defs"]
    for part in (schema, *parts.values()):
        _drop_defaults(part, parts)
    about = {
        "type": "string",
        "description": "Where this schema is, for editors of JSON files.",
        "examples": ["./extproc.schema.json"],
    }
    return schema | {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": _TITLE,
        "description": "A file for `extproc serve --config`, in YAML or JSON.",
        "properties": {SCHEMA_KEY: about} | schema["properties"],
    }


def render_schema() -> str:
    """Return the schema as text."""
    return json.dumps(build_schema(), indent=2, ensure_ascii=False) + "\n"
