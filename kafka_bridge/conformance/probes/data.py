"""Bytes: what is in a request arrives, and what a worker returns arrives."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from typing import Any

from kafka_bridge.conformance.events import Event
from kafka_bridge.conformance.job_types import BYTES, ECHO
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.stage import Stage, with_id
from kafka_bridge.conformance.unmet import Unmet, expect
from kafka_bridge.protocol.codec import decode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.media_types import from_json, is_json
from kafka_bridge.protocol.messages import JobRequest, JobState
from kafka_bridge.protocol.sanitize import one_line

GOLDEN = resources.files("kafka_bridge.schemas").joinpath("golden/v1")
NOT_RUN = {"request-claim-check", "request-extremes"}
"""Their payloads are references."""


def echoed(payload: bytes | None, payload_type: str | None) -> dict[str, Any]:
    """Return what ``test.echo`` returns for a payload."""
    if payload is None or payload_type is None:
        return {"type": None}
    if is_json(payload_type):
        return {"type": payload_type, "json": from_json(payload)}
    return {"type": payload_type, "base64": base64.b64encode(payload).decode()}


def check_echo(stage: Stage, request: JobRequest, name: str) -> None:
    """Check the result of a ``test.echo``, whose request was published.

    :param name: what the request is called in an error
    """
    end = stage.ends_as(request, JobState.SUCCEEDED)
    result = json_result(end)
    wanted = echoed(request.payload, request.payload_type)
    expect(
        _same(result, wanted),
        f"the payload of {name} to come back as {_shown(wanted)}",
        f"the result is {_shown(result)}",
        end.record,
    )


def json_result(end: Event) -> Any:
    """Return the JSON value of a result.

    :raises Unmet: there is no such result
    """
    status = end.status
    if status.result is None or status.result_type is None or not is_json(status.result_type):
        raise Unmet("a result with a JSON media type", f"it is {status.result_type}", end.record)
    try:
        return from_json(status.result)
    except ValueError as error:
        raise Unmet("a JSON result", f"it is not JSON: {error}", end.record) from error


def _same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal to the last digit: Python takes 1 and 1.0 as equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _shown(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False), 300)


def _golden_requests() -> Iterator[tuple[str, JobRequest]]:
    index = json.loads(GOLDEN.joinpath("cases.json").read_text(encoding="utf-8"))
    for case in index["cases"]:
        if case["message"] == "JobRequest" and case["name"] not in NOT_RUN:
            yield case["name"], decode(JobRequest, GOLDEN.joinpath(case["avro"]).read_bytes())


@running("L1-DATA-GOLDEN", "A worker reads each request of the golden files.")
def golden(stage: Stage) -> None:
    """Each golden request, as a ``test.echo`` of a new job."""
    jobs = {
        name: replace(
            with_id(request),
            job_type=ECHO,
            response_topic=stage.names.responses,
            expires_at=None,
            deadline=None,
        )
        for name, request in _golden_requests()
    }
    for job in jobs.values():
        stage.publish(job)
    for name, job in jobs.items():
        check_echo(stage, job, name)


@running("L1-DATA-INTEGERS", "64-bit integers are exact to the last digit.")
def integers(stage: Stage) -> None:
    """Integers that no double has."""
    job = stage.request(ECHO, [2**53 + 1, 2**63 - 1, -(2**63)])
    stage.publish(job)
    check_echo(stage, job, "a request with 64-bit integers")


@running(
    "L1-DATA-UNKNOWN-FIELDS",
    "Readers ignore fields that they do not know.",
    encodings=(Encoding.JSON,),
)
def unknown_fields(stage: Stage) -> None:
    """A request of a later version."""
    job = stage.request(ECHO, {"a": 1})
    document = json.loads(stage.encoded(job)) | {"of_version_2": {"deep": [1]}, "priority": 5}
    stage.publish_bytes(job.correlation_id, json.dumps(document).encode(), stage.headers(job))
    check_echo(stage, job, "a request with unknown fields")


@running(
    "L1-DATA-FORMS",
    "JSON's white space, escapes, order and absent fields change nothing; of a key that occurs "
    "twice, the last one counts.",
    encodings=(Encoding.JSON,),
)
def forms(stage: Stage) -> None:
    """One request in another form."""
    job = stage.request(ECHO, {"text": 'Ünïcödé 🛰️ \\ "'})
    fields = {
        name: value
        for name, value in json.loads(stage.encoded(job)).items()
        if value is not None and value != {}
    }
    ordered = dict(sorted(fields.items(), reverse=True))
    text = json.dumps(ordered, indent=3, ensure_ascii=True)
    doubled = text.replace("{", '\t{ "job_type" : "no.such.type",', 1)
    stage.publish_bytes(job.correlation_id, f"\r\n {doubled} \n".encode(), stage.headers(job))
    check_echo(stage, job, "a request in another form of JSON")


@running(
    "L1-DATA-BLOCKS",
    "A map may come in blocks with their size, as the Avro specification permits.",
    encodings=(Encoding.AVRO,),
)
def blocks(stage: Stage) -> None:
    """A request whose attributes are in a block with a negative count and its size."""
    job = replace(stage.request(ECHO, "blocks"), attributes={"k": "v"})
    value = stage.encoded(job)
    # The attributes are the last field: count 1, "k", "v", end. Zigzag: 1 is 02, -1 is 01, 4 is 08.
    usual, sized = b"\x02\x02k\x02v\x00", b"\x01\x08\x02k\x02v\x00"
    assert value.endswith(usual)  # noqa: S101
    stage.publish_bytes(job.correlation_id, value.removesuffix(usual) + sized, stage.headers(job))
    check_echo(stage, job, "a request with a sized block")


@running("L1-DATA-RESULT", "A result that is not JSON arrives as its bytes, in JSON as base64.")
def result(stage: Stage) -> None:
    """All 256 bytes."""
    end = stage.outcome(stage.request(BYTES), JobState.SUCCEEDED)
    expect(
        end.status.result == bytes(range(256)),
        "the bytes 0 to 255 as the result of test.bytes",
        f"the result has {len(end.status.result or b'')} bytes, of type {end.status.result_type}",
        end.record,
    )
