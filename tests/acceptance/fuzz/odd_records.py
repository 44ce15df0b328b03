"""Records that somebody with *Write* on one topic could send, or somebody unlucky.

Each is a valid message with one thing odd: a field, the bytes, the encoding, the key or the
headers.
A seed gives the same records each time.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random
from typing import Any

from fastavro import schemaless_writer

from kafka_bridge.protocol.avro_encoding import MARKER
from kafka_bridge.protocol.messages import (
    Command,
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    Message,
    Progress,
    StatusEvent,
    Task,
    utc_now,
)
from kafka_bridge.protocol.plain_data import to_record
from kafka_bridge.protocol.schemas import WRITTEN

from .odd_values import (
    HUGE_CHARACTERS,
    HUGE_SHARE,
    LONE_SURROGATE,
    odd_json,
    odd_result,
    odd_text,
    odd_value,
)


@dataclass(frozen=True)
class OddRecord:
    """A record to be published. ``what`` says what is odd about it."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    what: str


class OddRecords:
    """Makes odd records from valid messages.

    :param chance: where the oddness comes from
    :param response_topic: where odd requests ask to be answered
    :param job_types: what the honest workers do
    """

    def __init__(self, chance: Random, response_topic: str, job_types: Sequence[str]) -> None:
        self._chance = chance
        self._response_topic = response_topic
        self._job_types = job_types
        self._ends = 0

    def request(self) -> OddRecord:
        """Return an odd job request, of a job of its own."""
        request = JobRequest(
            correlation_id=self._new_id(),
            job_type=self._chance.choice(self._job_types),
            payload=b'{"seconds": 0, "number": 1}',
            payload_type="application/json",
            response_topic=self._response_topic,
            created_at=utc_now(),
            heartbeat_interval_ms=1_000,
            task=Task("fuzz", "dag", "run", "task"),
        )
        return self._odd(request)

    def command(self) -> OddRecord:
        """Return an odd command, for a job that does not exist."""
        command = JobCommand(
            correlation_id=self._new_id(),
            command=Command.CANCEL,
            reason=odd_text(self._chance),
            issued_at=utc_now(),
        )
        return self._odd(command)

    def event(self, job: str) -> OddRecord:
        """Return an odd event that does not end its job."""
        state = self._chance.choice((JobState.ACCEPTED, JobState.RUNNING))
        return self._odd(self._event(job, state), keep=("state", "delivery", "correlation_id"))

    def end(self, job: str) -> OddRecord:
        """Return an odd end of a job: it can be read, and what it says is hard to bear."""
        # All that is odd JSON, in turn: a short run has it all.
        self._ends += 1
        odd = odd_json(self._chance)
        data, media_type = odd[self._ends % len(odd)].encode(), "application/json"
        if self._ends % 4 == 0:
            data, media_type = odd_result(self._chance)
        if self._ends % 5:
            value = _record_of(self._event(job, JobState.SUCCEEDED))
            value |= {"result": data, "result_type": media_type}
        else:
            value = _record_of(self._event(job, JobState.FAILED))
            value["error"] = {
                "type": odd_text(self._chance) or "odd",
                "message": odd_text(self._chance),
                "details": odd_text(self._chance),
                "retryable": False,
            }
        value["worker_id"] = odd_text(self._chance)
        return OddRecord(job.encode(), _avro(StatusEvent, value), [], "an odd end")

    def _event(self, job: str, state: JobState) -> StatusEvent:
        return StatusEvent(
            correlation_id=job,
            event_id=str(self._chance.random()),
            sequence=1,
            state=state,
            occurred_at=utc_now(),
            worker_id="fuzz",
            message=odd_text(self._chance),
            progress=Progress(1.0, 2.0, "steps"),
            error=JobFailure("odd", "odd") if state is JobState.FAILED else None,
        )

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def _odd(self, message: Message, keep: Sequence[str] = ()) -> OddRecord:
        ways: Sequence[Callable[[Message, Sequence[str]], OddRecord]] = (
            self._odd_field,
            self._odd_json,
            self._damaged,
            self._odd_bytes,
            self._odd_headers,
            self._odd_key,
        )
        return self._chance.choices(ways, (6, 4, 3, 2, 1, 1))[0](message, keep)

    def _odd_field(self, message: Message, keep: Sequence[str]) -> OddRecord:
        kind, record = type(message), _record_of(message)
        fields = [f for f in WRITTEN[kind].definition["fields"] if f["name"] not in keep]
        field = self._chance.choice(fields)
        record[field["name"]] = odd_value(field["type"], self._chance)
        return _keyed(message, _avro(kind, record), f"odd {field['name']} in Avro")

    def _odd_json(self, message: Message, keep: Sequence[str]) -> OddRecord:
        record = _record_of(message)
        for name in ("payload", "result"):
            if record.get(name) is not None:
                record[name] = json.loads(record[name])
        name = self._chance.choice([each for each in record if each not in keep])
        odd: Sequence[Any] = (
            LONE_SURROGATE,
            2**70,
            -1,
            0.5,
            [[]],
            {"a": {}},
            None,
            True,
            odd_text(self._chance),
        )
        record[name] = self._chance.choice(odd)
        if self._chance.random() < 0.2:
            record[odd_text(self._chance)] = "a field of some later version"
        return _keyed(message, json.dumps(record).encode(), f"odd {name} in JSON")

    def _damaged(self, message: Message, _: Sequence[str]) -> OddRecord:
        value = bytearray(_avro(type(message), _record_of(message)))
        if self._chance.random() < 0.5:
            del value[self._chance.randrange(len(value)) :]
        # Behind the id and the two numbers: a damaged state could end somebody's job.
        elif len(value) > 100:
            value[self._chance.randrange(100, len(value))] ^= 1 << self._chance.randrange(8)
        return _keyed(message, bytes(value), "damaged Avro")

    def _odd_bytes(self, message: Message, _: Sequence[str]) -> OddRecord:
        if self._chance.random() < HUGE_SHARE:
            return _keyed(message, b"\x00" * HUGE_CHARACTERS, "huge")
        values: Sequence[bytes | None] = (
            None,
            b"",
            b"\x00",
            b"\x00\x00\x00\x00\x07 through a registry",
            MARKER + b"\xff" * 8 + b"another schema",
            b"{" * 10_000,
            b"\xef\xbb\xbf{}",
            b"\xff\xfe{\x00}\x00",
            self._chance.randbytes(300),
            b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        )
        return _keyed(message, self._chance.choice(values), "odd bytes")

    def _odd_headers(self, message: Message, _: Sequence[str]) -> OddRecord:
        odd: Sequence[list[tuple[str, bytes | None]]] = (
            [(f"header-{number}", b"x") for number in range(1_000)],
            [("traceparent", b"\xff\x00"), ("tracestate", b"\x1b[2J")],
            [("kafka_correlationId", b"\xff"), ("kafka_replyTopic", b"no such topic!")],
            [("kafka_nest-err", b'{"message": "\x1b[2J"}')],
            [("content-type", b"application/json\r\nX: y")],
            [("", b""), ("same", b"1"), ("same", None)],
            [("large", b"x" * 50_000)],
        )
        value = _avro(type(message), _record_of(message))
        record = _keyed(message, value, "odd headers")
        return replace(record, headers=self._chance.choice(odd))

    def _odd_key(self, message: Message, _: Sequence[str]) -> OddRecord:
        keys = (None, b"", b"\xff\xfe", b"not an id", b"\x00" * 36, b"k" * 10_000)
        value = _avro(type(message), _record_of(message))
        return OddRecord(self._chance.choice(keys), value, [], "odd key")


def _keyed(message: Message, value: bytes | None, what: str) -> OddRecord:
    return OddRecord(message.correlation_id.encode(), value, [], what)


def _record_of(message: Message) -> dict[str, Any]:
    """Return a message as Avro data with times in milliseconds, so that they may be odd, too."""
    record = to_record(message)
    return {name: _milliseconds(value) for name, value in record.items()}


def _milliseconds(value: Any) -> Any:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def _avro(kind: type[Message], record: dict[str, Any]) -> bytes:
    schema = WRITTEN[kind]
    buffer = io.BytesIO()
    buffer.write(MARKER + schema.fingerprint)
    schemaless_writer(buffer, schema.parsed, record)
    return buffer.getvalue()
