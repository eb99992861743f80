"""The JSON Schema of the LyCORIS file."""

from __future__ import annotations

from typing import Any

from scripts.options.config_schema import DRAFT
from scripts.options.values import COMMENTS, OFF, SHARED, SWITCH, Schema, object_schema
from simpletuner.config.files.lycoris import LycorisOptions, Preset
from simpletuner.config.files.lycoris_rules import LAYER_KEYS, MAPS, UNREAD_KEYS

_NAMES = {"type": "array", "items": {"type": "string", "minLength": 1}}


def lycoris_schema() -> Schema:
    """Every method; which settings go together is for the program to say."""
    schema = object_schema(LycorisOptions)
    properties = schema["properties"]
    properties["algo"] |= {"anyOf": [*properties["algo"]["anyOf"], {"type": "string", "pattern": "[A-Z]|^\\s|\\s$"}]}
    properties["apply_preset"] = {"anyOf": [_preset(properties), {"type": "null"}]}
    properties |= {key: {**OFF, "deprecated": True, "description": why} for key, why in UNREAD_KEYS.items()}
    return {"$schema": DRAFT, "title": "The LyCORIS file of simpletuner", **schema, "$defs": SHARED}


def _preset(options: dict[str, Any]) -> Schema:
    layer = {
        "type": "object",
        "properties": {
            key: options[{"dim": "linear_dim", "alpha": "linear_alpha"}.get(key, key)] for key in sorted(LAYER_KEYS)
        },
        "additionalProperties": False,
    }
    maps = {"type": "object", "additionalProperties": layer}
    return {
        "type": "object",
        "description": "Which layers are adapted; not given, all of them.",
        "properties": {name: _described(name, maps) for name in Preset.model_fields},
        "patternProperties": dict(COMMENTS),
        "additionalProperties": False,
    }


def _described(name: str, maps: Schema) -> Schema:
    field = Preset.model_fields[name]
    plain = {"use_fnmatch": SWITCH, "enable_conv": SWITCH, "lora_prefix": {"type": "string"}}
    shape = maps if name in MAPS else plain.get(name, _NAMES)
    return {**shape, "description": " ".join((field.description or "").split())}
