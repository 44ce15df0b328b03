"""The released schemas are frozen: a worker deployed a year ago knows only what it shipped with."""

from __future__ import annotations

import hashlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kafka_bridge.protocol import messages
from kafka_bridge.protocol.messages import JobCommand, JobRequest, Message, StatusEvent
from kafka_bridge.protocol.schemas import READABLE, WRITTEN

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "kafka_bridge" / "schemas"

DO_INSTEAD = (
    "{file} was released and is frozen: workers in the field know this schema by its fingerprint "
    "and no other. Undo the change. A new fact goes into `attributes`; a new field goes into a v2, "
    "a new file beside this one, which is written only where a deployment says that all its "
    "readers know it."
)


class Released(NamedTuple):
    """A schema file as it was released. The fingerprint is in the order of the wire."""

    message_type: type[Message]
    file: str
    sha256: str
    fingerprint: str


RELEASED = (
    Released(
        JobRequest,
        "job_request.avsc",
        "d672318e6d0b75d5952810596a68c00b439a8ab3d4f648b49742e96a8fe47684",
        "cbcc3ba477730fc6",
    ),
    Released(
        StatusEvent,
        "status_event.avsc",
        "5d38daaa4b1d48f4670016cbcb3e6d8d61d0db554b373729a03bb6a4c8a9acf8",
        "78b1db8f79350a12",
    ),
    Released(
        JobCommand,
        "job_command.avsc",
        "c9891e7b7373f165a82649dfa2c400aaedf76f9aa44809c81992d52b018d20b0",
        "867918f6b848f895",
    ),
)
each_schema = pytest.mark.parametrize("released", RELEASED, ids=lambda released: released.file)


@each_schema
def test_schema_file_never_changes(released: Released) -> None:
    """Not a byte of a released schema file changes, its documentation included."""
    digest = hashlib.sha256((SCHEMAS / released.file).read_bytes()).hexdigest()
    assert digest == released.sha256, DO_INSTEAD.format(file=released.file)


@each_schema
def test_fingerprint_never_changes(released: Released) -> None:
    """What is written carries the released fingerprint, and what carries it can be read."""
    fingerprint = bytes.fromhex(released.fingerprint)
    assert WRITTEN[released.message_type].fingerprint == fingerprint, DO_INSTEAD.format(
        file=released.file
    )
    assert READABLE[fingerprint].message_type is released.message_type


def test_every_schema_file_is_pinned() -> None:
    """No schema file is released without its pin here."""
    assert {path.name for path in SCHEMAS.glob("*.avsc")} == {pin.file for pin in RELEASED}


@each_schema
def test_documented_fingerprint_is_the_computed_one(released: Released) -> None:
    """The public page lists the fingerprint, for those whose library gets it wrong."""
    page = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"`{released.fingerprint}`" in page
    big_endian = bytes.fromhex(released.fingerprint)[::-1].hex()
    assert f"`0x{big_endian}`" in page


@each_schema
def test_message_has_the_fields_of_its_schema(released: Released) -> None:
    """A Python message and its nested parts have the schema's fields, in the schema's order."""
    assert_same_fields(released.message_type, WRITTEN[released.message_type].definition)


def assert_same_fields(message_type: type, schema: dict[str, Any]) -> None:
    """Compare a dataclass with a record schema, and its parts with the records within."""
    assert is_dataclass(message_type)
    assert [field.name for field in fields(message_type)] == [f["name"] for f in schema["fields"]]
    for field in schema["fields"]:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for part in branches:
            if isinstance(part, dict) and part["type"] == "record":
                assert_same_fields(getattr(messages, part["name"]), part)
            elif isinstance(part, dict) and part["type"] == "enum":
                assert [symbol.value for symbol in getattr(messages, part["name"])] == part[
                    "symbols"
                ]
