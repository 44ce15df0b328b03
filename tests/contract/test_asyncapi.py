"""schemas/asyncapi.yaml is a valid AsyncAPI document, and says what the code does."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from kafka_bridge.protocol import headers, topics
from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import Headers
from kafka_bridge.protocol.ids import is_correlation_id
from kafka_bridge.protocol.messages import Command, JobCommand, JobRequest, utc_now
from kafka_bridge.protocol.schemas import WRITTEN

from .golden_messages import BY_NAME

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILE = SCHEMAS / "asyncapi.yaml"
DOCUMENT: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
DATA = Path(__file__).parent / "data" / "asyncapi-3.0.0.json.gz"
SPECIFICATION: dict[str, Any] = json.loads(gzip.decompress(DATA.read_bytes()))
REQUEST = BY_NAME["request-everything"].message
assert isinstance(REQUEST, JobRequest)
JOB = REQUEST.correlation_id.encode()
TRACE = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
TRACE += [("tracestate", b"vendor=t61rcWkgMzE")]
AVRO = Encoding.AVRO
SOME_ID = "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001"
CANCEL = JobCommand(
    correlation_id=REQUEST.correlation_id, command=Command.CANCEL, issued_at=utc_now()
)
ALWAYS: dict[str, Headers] = {
    "JobRequest": headers.request_headers(REQUEST, AVRO),
    "StatusEvent": headers.event_headers(JOB, AVRO, ()),
    "JobCommand": headers.command_headers(CANCEL, AVRO),
    "DeadLetter": headers.dead_letter_headers(RecordLocation("t", 0, 0), 0, ValueError("no")),
}
SOMETIMES = {"JobRequest": {headers.SUBMISSION, *dict(TRACE)}, "StatusEvent": set(dict(TRACE))}
PARSER = ("@asyncapi/parser@3.6.6", "@asyncapi/avro-schema-parser@3.0.24")

each_message = pytest.mark.parametrize("message", ALWAYS)


def problems(document: dict[str, Any]) -> list[str]:
    """List what the specification's own schema has against a document."""
    validator = validator_for(SPECIFICATION)(SPECIFICATION)
    return [error.message for error in validator.iter_errors(document)]


def references(node: Any) -> Iterator[str]:
    """Yield the targets of all references."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def resolved(reference: str) -> Any:
    """Return what a reference within the document leads to."""
    node = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def header_schema(message: str) -> dict[str, Any]:
    """Return the schema of a message's headers."""
    schema: dict[str, Any] = resolved(
        DOCUMENT["components"]["messages"][message]["headers"]["$ref"]
    )
    return schema


def test_it_follows_the_specification() -> None:
    """AsyncAPI's own JSON schema has nothing against it."""
    assert problems(DOCUMENT) == []


def test_the_specification_notices_a_wrong_action() -> None:
    """The check above can fail."""
    broken = copy.deepcopy(DOCUMENT)
    broken["operations"]["runJob"]["action"] = "subscribe"
    assert problems(broken) != []


def test_every_reference_leads_somewhere() -> None:
    """Within the document, or to a schema beside it."""
    for reference in references(DOCUMENT):
        if reference.startswith("./"):
            assert (SCHEMAS / reference).is_file(), reference
        else:
            assert resolved(reference), reference


def test_its_channels_are_the_topics_of_the_code() -> None:
    """All four, and the one that a request names."""
    named = {getattr(topics, name) for name in dir(topics) if name.endswith("_TOPIC")}
    assert {each["address"] for each in DOCUMENT["channels"].values()} == {*named, None}


@pytest.mark.parametrize("kind", WRITTEN)
def test_its_payloads_are_the_schemas_that_are_written(kind: type) -> None:
    """The file that a message refers to is the schema of this message."""
    payload = DOCUMENT["components"]["messages"][kind.__name__]["payload"]
    assert payload["schemaFormat"].startswith(CONTENT_TYPES[AVRO])
    schema = json.loads((SCHEMAS / payload["schema"]["$ref"]).read_text(encoding="utf-8"))
    assert schema["name"] == kind.__name__


@each_message
def test_its_headers_are_those_that_are_written(message: str) -> None:
    """Required are those of each record; the others may be there."""
    schema = header_schema(message)
    assert schema["required"] == [name for name, _ in ALWAYS[message]]
    optional = set(schema["properties"]) - set(schema["required"])
    assert optional == SOMETIMES.get(message, set())


@each_message
def test_headers_that_are_written_fit_their_schema(message: str) -> None:
    """Also the values: ids, the type of the event, content types."""
    texts = {name: value.decode("latin-1") for name, value in ALWAYS[message]}
    schema = {"components": DOCUMENT["components"], "allOf": [header_schema(message)]}
    assert [error.message for error in validator_for({})(schema).iter_errors(texts)] == []


def test_its_content_types_are_those_of_the_encodings() -> None:
    """Avro and JSON."""
    content_type = DOCUMENT["components"]["schemas"]["ContentType"]
    assert set(content_type["enum"]) == {CONTENT_TYPES[each] for each in (AVRO, Encoding.JSON)}


def test_both_sides_have_their_operations() -> None:
    """What one side sends, the other one receives."""
    found = set()
    for each in DOCUMENT["operations"].values():
        (side,) = (resolved(tag["$ref"])["name"] for tag in each["tags"])
        found.add((side, each["action"], resolved(each["channel"]["$ref"])["address"]))
    assert found == {
        ("airflow", "send", topics.REQUEST_TOPIC),
        ("airflow", "receive", topics.RESPONSE_TOPIC),
        ("airflow", "send", topics.CONTROL_TOPIC),
        ("worker", "receive", topics.REQUEST_TOPIC),
        ("worker", "receive", topics.RESPONSE_TOPIC),
        ("worker", "receive", topics.CONTROL_TOPIC),
        ("worker", "send", topics.DEAD_LETTER_TOPIC),
    }


def test_a_request_is_answered_on_the_topic_that_its_header_names() -> None:
    """The reply of both operations with requests, and the correlation id."""
    reply = DOCUMENT["components"]["replies"]["statusEvents"]
    assert reply["address"]["location"] == f"$message.header#/{headers.REPLY_TOPIC}"
    assert resolved(reply["channel"]["$ref"])["address"] is None
    for each in ("submitJob", "runJob"):
        assert resolved(DOCUMENT["operations"][each]["reply"]["$ref"]) is reply
    job = DOCUMENT["components"]["correlationIds"]["job"]
    assert job["location"] == f"$message.header#/{headers.CORRELATION_ID}"


@pytest.mark.parametrize(
    "text", [SOME_ID, SOME_ID.upper(), f"{{{SOME_ID}}}", SOME_ID.replace("-", ""), "a" * 36, ""]
)
def test_its_correlation_ids_are_those_of_the_code(text: str) -> None:
    """Other texts are refused by both."""
    schema = DOCUMENT["components"]["schemas"]["CorrelationId"]
    assert validator_for({})(schema).is_valid(text) == is_correlation_id(text)


CHECK = """
import { Parser, fromFile } from "@asyncapi/parser";
import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const { document, diagnostics } = await fromFile(parser, process.argv[2]).parse();
const errors = diagnostics.filter(({ severity }) => severity < 2);
console.log(JSON.stringify({ isRead: document !== undefined, errors }));
"""


@pytest.mark.long
@pytest.mark.slow
def test_the_parser_of_asyncapi_reads_it(tmp_path: Path) -> None:
    """With the Avro schemas: AsyncAPI's own parser, in Node, reports no error and no warning."""
    if shutil.which("npm") is None:
        pytest.skip("Node is not installed")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", *PARSER]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"npm cannot install the parser: {done.stderr[-300:]}")
    (tmp_path / "check.mjs").write_text(CHECK, encoding="utf-8")
    found = subprocess.run(
        ["node", "check.mjs", str(FILE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(found.stdout) == {"isRead": True, "errors": []}
