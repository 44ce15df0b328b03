"""A file of properties, as Kafka's own tools read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kafka_bridge.kafka.properties_file import read_properties
from kafka_bridge.protocol.errors import ConfigurationError

SECRET = "hunter2"


def test_forms_of_java_properties_are_read(tmp_path: Path) -> None:
    """Comments, three separators, escapes, and lines that go on."""
    file = tmp_path / "client.properties"
    file.write_text(
        "\ufeff# a comment\n"
        "! another one\n"
        "\n"
        "bootstrap.servers = a:1,\\\n"
        "    b:2\n"
        "sasl.username: me\n"
        "sasl.password p\\u00e4ss\\=w\\\\rd#=:\n"
        "client.id=first\n"
        "client.id=second\n",
        encoding="utf-8",
    )
    assert read_properties(file) == {
        "bootstrap.servers": "a:1,b:2",
        "sasl.username": "me",
        "sasl.password": "päss=w\\rd#=:",
        "client.id": "second",
    }


@pytest.mark.parametrize("line", ["client.id", "client.id=", f"={SECRET}", SECRET])
def test_line_that_is_not_a_property_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    """It may be a part of a password."""
    file = tmp_path / "client.properties"
    file.write_text(f"# first\nclient.rack=r\n{line}\n")
    with pytest.raises(ConfigurationError) as raised:
        read_properties(file)
    assert str(raised.value) == f"{file}:3: expected a line of the form name=value"


@pytest.mark.parametrize("content", [None, b"client.id=\xff"])
def test_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    """With the reason."""
    file = tmp_path / "client.properties"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read: ") as raised:
        read_properties(file)
    assert str(file) in str(raised.value)
