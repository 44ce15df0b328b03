"""Dead letters as workers leave them, and the command line run on them."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any

import confluent_kafka as ck
import pytest

from integration.jobs import WAIT_SECONDS, event, records, request
from kafka_bridge.cli import main
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation, Undecodable
from kafka_bridge.protocol.headers import Headers, dead_letter_headers, request_headers
from kafka_bridge.protocol.messages import JobRequest, JobState

ORIGINAL_MS = 1_790_000_000_000


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


@dataclass
class Office:
    """The topics of one service, its dead letters, and the command that looks after them."""

    config: KafkaConfig
    requests: str
    responses: str
    dead_letters: str
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    producer: ck.Producer

    def __post_init__(self) -> None:
        self.monkeypatch.setenv("KAFKA_BRIDGE_BOOTSTRAP_SERVERS", self.config.bootstrap_servers)
        self.monkeypatch.setenv("KAFKA_BRIDGE_DEAD_LETTER_TOPIC", self.dead_letters)

    def run(self, *arguments: str) -> Said:
        """Run ``kafka-bridge dead-letters`` within this process."""
        self.monkeypatch.setattr(sys, "argv", ["kafka-bridge", "dead-letters", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self.capture.readouterr()
        assert "Traceback" not in said.err
        return Said(int(ended.value.code or 0), said.out, said.err)

    def job(self, job_type: str = "a.job", **fields: Any) -> JobRequest:
        """Return a request that is answered in this office's response topic."""
        return replace(request(job_type, self.responses, {"n": 1}), **fields)

    def set_aside(
        self,
        job: JobRequest,
        error: Exception | None = None,
        *,
        encoding: Encoding = Encoding.AVRO,
        at_ms: int = 0,
    ) -> str:
        """Put a readable request among the dead letters; return its place in the short form."""
        return self.set_aside_bytes(
            job.correlation_id.encode(),
            encode(job, encoding),
            [*request_headers(job, encoding), ("traceparent", b"00-aa-bb-01")],
            error or RuntimeError("it went wrong"),
            at_ms=at_ms,
        )

    def set_aside_bytes(
        self,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
        error: Exception | None = None,
        *,
        origin: RecordLocation | None = None,
        at_ms: int = 0,
    ) -> str:
        """Put any record among the dead letters, as a worker does."""
        origin = origin or RecordLocation(self.requests, 1, 41)
        added = dead_letter_headers(origin, ORIGINAL_MS, error or Undecodable("not for us"))
        place = self.write(self.dead_letters, key, value, headers + added, at_ms=at_ms)
        return f"{place.partition}@{place.offset}"

    def end(self, job: str, state: JobState) -> None:
        """Let a job end, as a worker says it."""
        self.write(self.responses, job.encode(), encode(event(job, state)), [])

    def write(
        self, topic: str, key: bytes | None, value: bytes | None, headers: Headers, at_ms: int = 0
    ) -> RecordLocation:
        """Write a record, with its time in milliseconds since 1970; 0 is now."""
        places: list[RecordLocation] = []

        def delivered(error: ck.KafkaError | None, message: ck.Message) -> None:
            assert error is None, error
            places.append(Record.of(message).location)

        self.producer.produce(
            topic, key=key, value=value, headers=[*headers], timestamp=at_ms, on_delivery=delivered
        )
        assert self.producer.flush(WAIT_SECONDS) == 0
        return places[0]

    def sent(self, topic: str | None = None) -> list[Record]:
        """Return all that lies in the request topic, or in another one."""
        name = topic or self.requests
        count = sum(end_offsets(self.config, [name], WAIT_SECONDS)[name])
        if not count:
            return []
        with records(self.config, name) as arriving:
            return [next(arriving) for _ in range(count)]
