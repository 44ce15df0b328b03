"""The released Avro schemas, by message type and by fingerprint.

The files in ``kafka_bridge/schemas`` are the normative form of the protocol. A fingerprint is the
8-byte little-endian CRC-64-AVRO of the schema's Parsing Canonical Form (Avro specification 1.12,
"Parsing Canonical Form for Schemas" and "Single-object encoding").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from fastavro import parse_schema
from fastavro.schema import fingerprint, to_parsing_canonical_form

from kafka_bridge.protocol.messages import JobCommand, JobRequest, Message, StatusEvent


@dataclass(frozen=True)
class Schema:
    """One version of one message type's schema.

    ``definition`` is the parsed ``.avsc`` file; ``parsed`` is fastavro's form of it;
    ``fingerprint`` is 8 bytes, little-endian.
    """

    message_type: type[Message]
    definition: dict[str, Any]
    parsed: Any
    fingerprint: bytes


def _load(message_type: type[Message], file_name: str) -> Schema:
    text = resources.files("kafka_bridge.schemas").joinpath(file_name).read_text(encoding="utf-8")
    definition = json.loads(text)
    digest = fingerprint(to_parsing_canonical_form(definition), "CRC-64-AVRO")
    return Schema(message_type, definition, parse_schema(definition), bytes.fromhex(digest))


def without_logical_types(definition: Any) -> Any:
    """Return a schema in which times are numbers."""
    if isinstance(definition, list):
        return [without_logical_types(each) for each in definition]
    if not isinstance(definition, dict):
        return definition
    if "logicalType" in definition:
        return definition["type"]
    return {name: without_logical_types(value) for name, value in definition.items()}


WRITTEN: dict[type, Schema] = {
    message_type: _load(message_type, file_name)
    for message_type, file_name in (
        (JobRequest, "job_request.avsc"),
        (StatusEvent, "status_event.avsc"),
        (JobCommand, "job_command.avsc"),
    )
}
"""By message type, the schema with which it is written."""

READABLE: dict[bytes, Schema] = {schema.fingerprint: schema for schema in WRITTEN.values()}
"""By fingerprint, every released schema. Later versions add schemas and remove none."""
