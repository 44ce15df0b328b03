"""The public page of the protocol says what the schemas and the code say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kafka_bridge.protocol import topics
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import dead_letter_headers, request_headers
from kafka_bridge.protocol.messages import (
    ErrorType,
    JobCommand,
    JobRequest,
    JobState,
    Message,
    StatusEvent,
)
from kafka_bridge.protocol.schemas import WRITTEN

from .golden_messages import BY_NAME

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
FIRST_CELL = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


def _records(schema: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield the name and the fields of a record schema and of the records within."""
    yield schema["name"], [field["name"] for field in schema["fields"]]
    for field in schema["fields"]:
        kind = field["type"][1] if isinstance(field["type"], list) else field["type"]
        if isinstance(kind, dict) and kind["type"] == "record":
            yield from _records(kind)


RECORDS = dict(pair for schema in WRITTEN.values() for pair in _records(schema.definition))


def _first_cells(heading: str) -> list[str]:
    """Return the first cells of the first table after a heading that stands at a line's start."""
    section = re.split(rf"^{re.escape(heading)}", PAGE, flags=re.MULTILINE)
    assert len(section) == 2, heading
    table = section[1].split("\n|---", 1)[1].split("\n\n", 1)[0]
    return FIRST_CELL.findall(table)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_json_example_is_a_message(example: str) -> None:
    """Each JSON example is read as a message of the type that its fields show."""
    document = json.loads(example)
    message_type: type[Message] = (
        JobCommand if "command" in document else StatusEvent if "state" in document else JobRequest
    )
    message = decode(message_type, example.encode())
    assert message.correlation_id == document["correlation_id"]


def test_the_page_shows_every_message_type_in_json() -> None:
    """The page shows each message type in JSON."""
    shown = {key for example in EXAMPLES for key in json.loads(example)}
    assert {"job_type", "state", "command"} <= shown


@pytest.mark.parametrize("record", RECORDS)
def test_every_record_has_a_table_of_its_fields(record: str) -> None:
    """A record's table lists its fields, all of them, in the schema's order."""
    heading = f"### {record}" if record in {t.__name__ for t in WRITTEN} else f"**{record}**"
    assert _first_cells(heading) == RECORDS[record]


def test_the_tables_list_the_states_errors_and_topics_of_the_code() -> None:
    """The tables of states, reserved errors and topics list those of the code, and no others."""
    assert sorted(_first_cells("## States")) == sorted(JobState)
    assert sorted(_first_cells("## Reserved error types")) == sorted(ErrorType)
    assert sorted(_first_cells("## In short")) == sorted(
        getattr(topics, name) for name in dir(topics) if name.endswith("_TOPIC")
    )


def test_the_tables_list_the_headers_that_are_written() -> None:
    """The tables of headers list what is written, and nothing else."""
    request = BY_NAME["request-everything"].message
    assert isinstance(request, JobRequest)
    written = [name for name, _ in request_headers(request, Encoding.AVRO)]
    assert _first_cells("## Headers") == written
    added = dead_letter_headers(RecordLocation("t", 0, 0), 0, ValueError())
    assert _first_cells("A dead letter is the original record") == [name for name, _ in added]
