"""The names of the encodings. What they do is in ``codec``, which loads fastavro."""

from __future__ import annotations

from enum import StrEnum


class Encoding(StrEnum):
    """How a value is written."""

    AVRO = "avro"
    """Avro single-object encoding; needs nothing but the schemas that ship with a program."""
    JSON = "json"
    """One JSON object."""
    REGISTRY = "registry"
    """The Confluent wire format; needs a schema registry, and is recognised but not yet read."""


CONTENT_TYPES = {
    Encoding.AVRO: "application/vnd.apache.avro",
    Encoding.JSON: "application/json",
}
