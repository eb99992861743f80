"""The JSON Schema of the dataloader file."""

from __future__ import annotations

from scripts.options.config_schema import DRAFT
from scripts.options.values import OFF, SHARED, SWITCH, Schema, object_schema
from simpletuner.config.datasets.dataset import REFUSED_KEYS, RENAMED_KEYS, UNREAD_KEYS, DatasetConfig
from simpletuner.config.datasets.text_caches import CACHE_TYPES, PLAIN_KEYS, TextCache

_OFF = {"anyOf": [SWITCH, {"$ref": "#/$defs/open"}], "description": "Leave the entry out.", "default": False}
_CACHES = {"enum": list(CACHE_TYPES)}


def dataloader_schema() -> Schema:
    """A list of entries: caches by their ``dataset_type``, pictures otherwise."""
    return {
        "$schema": DRAFT,
        "title": "The dataloader file of simpletuner",
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "if": {"properties": {"dataset_type": _CACHES}, "required": ["dataset_type"]},
            "then": {"$ref": "#/$defs/cache"},
            "else": {"$ref": "#/$defs/pictures"},
        },
        "$defs": {**SHARED, "cache": _cache(), "pictures": _pictures()},
    }


def _pictures() -> Schema:
    # The folder of the cache has a default that depends on the run.
    schema = object_schema(DatasetConfig)
    schema["required"] = ["id"]
    properties = schema["properties"]
    for former, name in RENAMED_KEYS.items():
        properties[former] = {"$ref": f"#/$defs/pictures/properties/{name}", "deprecated": True}
    properties["disabled"] = _OFF
    for key in REFUSED_KEYS:
        properties[key] = {**OFF, "deprecated": True, "description": REFUSED_KEYS[key]}
    properties |= {key: {"deprecated": True, "description": why} for key, why in UNREAD_KEYS.items()}
    return schema


def _cache() -> Schema:
    schema = object_schema(TextCache)
    properties = schema["properties"]
    properties["dataset_type"] = {**_CACHES, "description": properties["dataset_type"]["description"]}
    properties |= {key: {} for key in sorted(PLAIN_KEYS)}
    properties["type"] = {"enum": ["local", None, ""]}
    properties["disabled"] = properties["disable"] = _OFF
    return schema
