"""The names of the encodings. ``codec`` implements them, and loads fastavro."""

from __future__ import annotations

from enum import StrEnum


class Encoding(StrEnum):
    """How a value is written."""

    AVRO = "avro"
    """Avro single-object encoding; needs only the schemas, which are part of this package."""
    JSON = "json"
    """One JSON object."""
    REGISTRY = "registry"
    """The Confluent wire format with a schema registry. It is recognised, but not supported."""


CONTENT_TYPES = {
    Encoding.AVRO: "application/vnd.apache.avro",
    Encoding.JSON: "application/json",
}
