"""A level 3 worker on the bare wire, with one fault if FAULT names one.

It uses confluent_kafka and kafka_bridge.protocol, and nothing of kafka_bridge.worker. One thread
decides and publishes; handlers have threads of their own. Without FAULT it keeps all rules.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import confluent_kafka as ck

from integration.conformance.bare_handlers import HANDLERS, JobFailed, Stopped, note
from integration.conformance.faults import fault
from integration.conformance.ledger import Known, Ledger, read_to_end
from kafka_bridge.protocol.checkpoint import with_checkpoint
from kafka_bridge.protocol.codec import decode, detect, encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation, RemoteProtocolError, Undecodable
from kafka_bridge.protocol.headers import (
    CORRELATION_ID,
    REPLY_TOPIC,
    Headers,
    dead_letter_headers,
    event_headers,
    text_header,
)
from kafka_bridge.protocol.ids import correlation_id_from_key, new_event_id
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import (
    Command,
    ErrorType,
    JobCommand,
    JobFailure,
    JobRequest,
    JobState,
    Progress,
    StatusEvent,
    utc_now,
)

S = JobState
SERVERS = os.environ["KAFKA_BRIDGE_BOOTSTRAP_SERVERS"]
REQUESTS = os.environ["KAFKA_BRIDGE_REQUEST_TOPIC"]
RESPONSES = os.environ["KAFKA_BRIDGE_RESPONSE_TOPIC"]
CONTROL = os.environ["KAFKA_BRIDGE_CONTROL_TOPIC"]
DEAD_LETTERS = os.environ["KAFKA_BRIDGE_DEAD_LETTER_TOPIC"]
SLOTS = int(os.environ["KAFKA_BRIDGE_CONCURRENCY"])
GRACE = float(os.environ["KAFKA_BRIDGE_GRACE_SECONDS"])
SESSION = int(os.environ["KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS"])
HEARTBEAT = int(os.environ["KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS"])
LONGEST_POLL = int(os.environ.get("KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS", "300000"))
WORKER_ID = f"bare-{os.getpid()}"
MOST_DELIVERIES = 5
HEARTBEAT_SHARE = 0.6
STOP_TEXT = "asked to stop, still running"


@dataclass(eq=False)
class Job:
    """A request that was consumed and is not over."""

    request: JobRequest
    encoding: Encoding
    headers: Headers
    place: RecordLocation
    delivery: int
    interrupted: bool
    checkpoint: str | None
    is_running: bool = False
    is_accepted: bool = False
    sequence: int = 0
    last_sent: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)
    stop_reason: str | None = None

    @property
    def id(self) -> str:
        """Its correlation id."""
        return self.request.correlation_id


class BareWorker:
    """The worker."""

    def __init__(self) -> None:
        self.producer = ck.Producer(
            {
                "bootstrap.servers": SERVERS,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "consistent" if fault("crc-partitioner") else "murmur2_random",
                "linger.ms": 2000 if fault("accepted-unacknowledged") else 1,
                "allow.auto.create.topics": False,
                "topic.metadata.propagation.max.ms": 2000,
                "message.timeout.ms": max(5000, SESSION),
                "log_level": 0,
            }
        )
        self.jobs: dict[str, Job] = {}
        self.orphans: dict[str, Job] = {}
        self.finished: set[str] = set()
        self.cancelled: dict[str, str | None] = {}
        self.reports: queue.Queue[tuple[Job, str, Any]] = queue.Queue()
        self.pending: dict[int, set[int]] = defaultdict(set)
        self.next: dict[int, int] = {}
        self.committed: dict[int, int] = {}
        self.known_topics: dict[str, bool] = {}
        self.ledger = Ledger()
        self.is_new = False
        self.stopping_since: float | None = None
        self.last_poll = time.monotonic()
        self.control = self._open_control()
        self.consumer = self._join()

    # Clients.

    def _open_control(self) -> ck.Consumer:
        consumer = ck.Consumer(_reader("control"))
        if fault("control-from-end"):
            count = len(consumer.list_topics(CONTROL, timeout=30).topics[CONTROL].partitions)
            consumer.assign([ck.TopicPartition(CONTROL, n, ck.OFFSET_END) for n in range(count)])
            return consumer
        for message in read_to_end(consumer, CONTROL):
            self._command(message)
        return consumer

    def _join(self) -> ck.Consumer:
        consumer = ck.Consumer(
            {
                "bootstrap.servers": SERVERS,
                "group.id": os.environ["KAFKA_BRIDGE_GROUP_ID"],
                "auto.offset.reset": "latest" if fault("start-latest") else "earliest",
                "enable.auto.commit": False,
                "isolation.level": isolation("requests"),
                "session.timeout.ms": SESSION,
                "heartbeat.interval.ms": HEARTBEAT,
                "max.poll.interval.ms": max(LONGEST_POLL, SESSION),
                "partition.assignment.strategy": "cooperative-sticky",
                "allow.auto.create.topics": False,
                "log_level": 0,
            }
        )
        consumer.subscribe(
            [REQUESTS], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        return consumer

    def _assigned(self, _: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        self.is_new = True
        for each in partitions:
            self.committed.pop(each.partition, None)

    def _revoked(self, _: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        if fault("publishes-after-revoke"):
            return
        numbers = {each.partition for each in partitions}
        for job in [each for each in self.jobs.values() if each.place.partition in numbers]:
            self._release(job)
        self.producer.flush(10)
        self._commit()
        self._forget(numbers)

    def _lost(self, _: ck.Consumer, partitions: list[ck.TopicPartition]) -> None:
        if not fault("zombie"):
            self._forget({each.partition for each in partitions})

    def _forget(self, numbers: Iterable[int]) -> None:
        """Leave the jobs of partitions alone, without a word: those that run may come back."""
        for number in numbers:
            self.pending.pop(number, None)
            self.next.pop(number, None)
            for job in [each for each in self.jobs.values() if each.place.partition == number]:
                if job.is_running and not fault("starts-again-after-freeze"):
                    self.orphans[job.id] = job
                else:
                    job.stop.set()
                del self.jobs[job.id]

    def _release(self, job: Job) -> None:
        if job.is_accepted:
            self._emit(job, S.RELEASED, message="released")
        job.stop.set()
        del self.jobs[job.id]

    # The loop.

    def run(self) -> None:
        """Run until SIGTERM."""
        while True:
            self._poll()
            if (message := self.control.poll(0)) is not None and message.error() is None:
                self._command(message)
            self._take_reports()
            self._beat()
            if self.stopping_since is None:
                self._start_jobs()
            elif self._may_leave():
                break
            self._commit()
        for job in list(self.jobs.values()):
            self._release(job)
        self.producer.flush(10)
        self._commit()
        self.consumer.close()

    def _may_leave(self) -> bool:
        assert self.stopping_since is not None
        if fault("leaves-without-release"):
            os._exit(0)
        is_over = time.monotonic() - self.stopping_since > GRACE
        return is_over or not any(job.is_running for job in self.jobs.values())

    def _poll(self) -> None:
        if fault("polls-between-jobs") and any(job.is_running for job in self.jobs.values()):
            time.sleep(0.02)
            return
        silence = time.monotonic() - self.last_poll
        if silence > 0.7 * SESSION / 1000 and not fault("zombie"):
            # It may have been frozen: what it had may belong to another worker.
            self._forget([*self.pending, *{job.place.partition for job in self.jobs.values()}])
            self.consumer.close()
            self.consumer = self._join()
        self.last_poll = time.monotonic()
        message = self.consumer.poll(0.02)
        if message is None:
            return
        if (error := message.error()) is not None:
            if fault("gives-up") and error.code() in (
                ck.KafkaError._ALL_BROKERS_DOWN,
                ck.KafkaError._TRANSPORT,
            ):
                os._exit(3)
            return
        if self.is_new:
            self.is_new = False
            self.ledger = Ledger()
            self.ledger.read(ck.Consumer(_reader("ledger")), RESPONSES)
            self.last_poll = time.monotonic()
        self._receive(message)

    def _commit(self) -> None:
        places = []
        for partition, following in self.next.items():
            offset = min(self.pending[partition], default=following)
            if fault("commits-past-unfinished") or fault("commits-at-receipt"):
                offset = following
            if offset != self.committed.get(partition):
                self.committed[partition] = offset
                places.append(ck.TopicPartition(REQUESTS, partition, offset))
        if places:
            try:
                self.consumer.commit(offsets=places, asynchronous=True)
            except ck.KafkaException:
                self.committed.clear()

    def _over(self, place: RecordLocation) -> None:
        self.pending[place.partition].discard(place.offset)
        if fault("commits-past-unfinished"):
            self.next[place.partition] = max(self.next.get(place.partition, 0), place.offset + 1)

    # Requests.

    def _receive(self, message: ck.Message) -> None:
        place = RecordLocation(REQUESTS, message.partition() or 0, message.offset() or 0)
        self.pending[place.partition].add(place.offset)
        if not fault("commits-past-unfinished"):
            self.next[place.partition] = place.offset + 1
        headers: Headers = message.headers() or []  # type: ignore[assignment]
        if message.value() is None and not fault("tombstone-is-poison"):
            self._over(place)
            return
        try:
            request = _decoded(message.value())
        except RemoteProtocolError as error:
            self._poison(message, place, headers, error)
            return
        if fault("header-wins") and (named := text_header(headers, CORRELATION_ID)):
            request = replace(request, correlation_id=named)
        self._admit(message, request, place, headers)

    def _poison(
        self, message: ck.Message, place: RecordLocation, headers: Headers, error: Exception
    ) -> None:
        if not fault("no-dead-letter"):
            self._bury(message, place, headers, error)
        key = correlation_id_from_key(message.key())
        topic = text_header(headers, REPLY_TOPIC)
        if key is not None and topic and not fault("no-unreadable-event"):
            failure = JobFailure(ErrorType.UNREADABLE, str(error))
            event = StatusEvent(
                correlation_id=key,
                event_id=new_event_id(),
                sequence=0,
                state=S.FAILED,
                occurred_at=utc_now(),
                worker_id=WORKER_ID,
                error=failure,
            )
            self.producer.produce(
                topic,
                encode(event, Encoding.JSON),
                key.encode(),
                headers=cast(Any, event_headers(key.encode(), Encoding.JSON, headers)),
            )
        self.producer.flush(10)
        self._over(place)

    def _bury(
        self, message: ck.Message, place: RecordLocation, headers: Headers, error: Exception
    ) -> None:
        added = dead_letter_headers(place, message.timestamp()[1], error)
        if fault("dead-letter-text-headers"):
            added = [(name, b"0" if name.endswith("partition") else value) for name, value in added]
        self.producer.produce(
            DEAD_LETTERS, message.value(), message.key(), headers=cast(Any, [*headers, *added])
        )

    def _admit(
        self, message: ck.Message, request: JobRequest, place: RecordLocation, headers: Headers
    ) -> None:
        known = self.ledger.of(request.correlation_id)
        if self._is_done(request.correlation_id, known) or self._is_duplicate(request):
            self._over(place)
        elif self._continues(request, place, known):
            return
        elif not self._is_answerable(request):
            self._bury(message, place, headers, LookupError("no such response topic"))
            self.producer.flush(10)
            self._over(place)
        else:
            encoding = detect(message.value())
            delivery = 1 if fault("delivery-always-one") else known.delivery + 1
            delivery += fault("delivery-plus-one")
            saved = None if fault("drops-checkpoint") else known.checkpoint
            job = Job(request, encoding, headers, place, delivery, known.delivery > 0, saved)
            self.jobs[job.id] = job
            self._begin(job, message, known)

    def _continues(self, request: JobRequest, place: RecordLocation, known: Known) -> bool:
        """Continue with a job whose partition has come back, if no other worker has started it."""
        job = self.orphans.pop(request.correlation_id, None)
        if job is None or known.delivery > job.delivery:
            return False
        job.place = place
        self.jobs[job.id] = job
        return True

    def _is_done(self, job: str, known: Known) -> bool:
        if known.is_finished and not fault("ledger-ignored"):
            return True
        return job in self.finished and not fault("forgets-finished")

    def _is_duplicate(self, request: JobRequest) -> bool:
        if request.correlation_id not in self.jobs:
            return False
        if fault("runs-duplicates"):
            self._over(self.jobs.pop(request.correlation_id).place)
            return False
        return True

    def _is_answerable(self, request: JobRequest) -> bool:
        if fault("answers-anywhere") or fault("starts-unanswerable"):
            return True
        return self._exists(request.response_topic)

    def _begin(self, job: Job, message: ck.Message, known: Known) -> None:
        interrupted = known.delivery if fault("released-counts") else known.interrupted
        if interrupted >= MOST_DELIVERIES and not fault("no-delivery-limit"):
            self._bury(message, job.place, job.headers, RuntimeError("too many deliveries"))
            self._fail(job, ErrorType.TOO_MANY_DELIVERIES, "it was picked up too often")
        elif self._check(job, on_receipt=True) and fault("accepts-ahead-in-silence"):
            self._emit(job, S.ACCEPTED)
            job.is_accepted, job.last_sent = True, float("inf")

    def _exists(self, topic: str) -> bool:
        if topic not in self.known_topics:
            found = self.producer.list_topics(topic, timeout=30).topics[topic]
            self.known_topics[topic] = found.error is None and bool(found.partitions)
        return self.known_topics[topic]

    def _check(self, job: Job, *, on_receipt: bool) -> bool:
        """End a job that cannot start; tell whether it may."""
        request, now = job.request, utc_now()
        if job.id in self.cancelled:
            self._end(job, S.CANCELLED, message=self.cancelled[job.id])
        elif (
            request.expires_at is not None
            and request.expires_at < now
            and not fault("starts-expired")
            and (on_receipt or not fault("checks-expiry-on-receipt"))
        ):
            self._fail(job, ErrorType.EXPIRED, "too late", retryable=True)
        elif request.deadline and request.deadline < now and not fault("starts-after-deadline"):
            self._fail(job, ErrorType.DEADLINE_EXCEEDED, "too late", retryable=True)
        elif request.job_type not in HANDLERS:
            own = "NoHandler" if fault("own-unknown-type") else ErrorType.UNKNOWN_JOB_TYPE
            self._fail(job, own, "this worker does not know it")
        elif request.payload_ref is not None and not fault("ignores-reference"):
            self._fail(job, ErrorType.UNSUPPORTED_REFERENCE, "references are not fetched")
        else:
            return True
        return False

    def _start_jobs(self) -> None:
        waiting = [job for job in self.jobs.values() if not job.is_running]
        if not fault("no-handover"):
            waiting.sort(key=lambda job: not job.interrupted)
        for job in waiting:
            is_free = sum(each.is_running for each in self.jobs.values()) < SLOTS
            if not is_free and fault("cancels-when-free"):
                continue
            if not self._check(job, on_receipt=False):
                continue
            if is_free:
                self._start(job)

    def _start(self, job: Job) -> None:
        if not job.is_accepted and not fault("no-accepted"):
            self._emit(job, S.ACCEPTED)
            if not fault("accepted-unacknowledged"):
                self.producer.flush(30)
        if not job.is_accepted:
            job.last_sent = time.monotonic()
        job.is_running = job.is_accepted = True
        job.last_sent = min(job.last_sent, time.monotonic())
        threading.Thread(target=self._handle, args=(job,), daemon=True).start()

    def _handle(self, job: Job) -> None:
        """Run the handler; its thread only reports."""

        def progress(step: int, total: int) -> None:
            self.reports.put((job, "progress", Progress(step, total, "steps")))

        note("started", job.id)
        report: tuple[str, Any]
        try:
            outcome = HANDLERS[job.request.job_type](job.request, job.delivery, job.stop, progress)
            report = "result", outcome
        except Stopped:
            report = "stopped", None
        except JobFailed as failed:
            report = "failed", failed.failure
        note("ended", job.id)
        self.reports.put((job, *report))

    # Events.

    def _take_reports(self) -> None:
        while not self.reports.empty():
            job, kind, value = self.reports.get()
            if self.jobs.get(job.id) is not job:
                if kind != "progress":
                    self.orphans.pop(job.id, None)
                continue  # it was released, or lost
            if kind == "progress":
                if not fault("no-progress"):
                    self._emit(job, S.RUNNING, progress=value)
            elif kind == "stopped" and job.stop_reason == "deadline":
                self._fail(job, ErrorType.DEADLINE_EXCEEDED, "out of time", retryable=True)
            elif kind == "stopped":
                self._end(job, S.CANCELLED, message=self.cancelled.get(job.id))
            else:
                self._finish(job, kind, value)

    def _finish(self, job: Job, kind: str, value: Any) -> None:
        told = job.stop_reason and not fault(f"no-attribute-{job.stop_reason}")
        facts = {"attributes": {"stop_requested": job.stop_reason}} if told else {}
        if kind == "failed":
            self._end(job, S.FAILED, error=value, **facts)
        else:
            result, result_type = value
            self._end(job, S.SUCCEEDED, result=result, result_type=result_type, **facts)

    def _beat(self) -> None:
        now = time.monotonic()
        for job in self.jobs.values():
            interval = job.request.heartbeat_interval_ms / 1000
            if interval == 0 and fault("always-heartbeats"):
                interval = 0.3
            self._look_at_deadline(job)
            is_handover = job.interrupted and not job.is_accepted and not fault("no-handover")
            if not interval or fault("no-heartbeats") or not (job.is_accepted or is_handover):
                continue
            if now - job.last_sent >= interval * HEARTBEAT_SHARE:
                text = STOP_TEXT if job.stop_reason else None
                self._emit(job, S.RUNNING, message=text, is_handover=is_handover)

    def _look_at_deadline(self, job: Job) -> None:
        deadline = job.request.deadline
        is_over = deadline is not None and deadline < utc_now()
        if job.is_running and is_over and not job.stop_reason and not fault("no-deadline"):
            job.stop_reason = "deadline"
            job.stop.set()

    def _fail(self, job: Job, kind: str, message: str, *, retryable: bool = False) -> None:
        self._end(job, S.FAILED, error=JobFailure(kind, message, retryable=retryable))

    def _end(self, job: Job, state: JobState, **facts: Any) -> None:
        if fault("commits-before-end"):
            self._over(job.place)
            self._commit()
            time.sleep(0.6)
        self._emit(job, state, **facts)
        if fault("ends-twice"):
            self._emit(job, state, **facts)
        if fault("runs-on-after-end"):
            self._emit(job, S.RUNNING)
        if fault("garbage-beside-events"):
            self.producer.produce(job.request.response_topic, b"working...", job.id.encode())
        self.producer.flush(30)
        self.finished.add(job.id)
        del self.jobs[job.id]
        self._over(job.place)

    def _emit(self, job: Job, state: JobState, *, is_handover: bool = False, **facts: Any) -> None:
        if state not in TERMINAL:
            facts["attributes"] = with_checkpoint(job.checkpoint)
        event = StatusEvent(
            correlation_id=job.id,
            event_id=WORKER_ID if fault("same-event-id") else new_event_id(),
            delivery=job.delivery - 1 if is_handover else job.delivery,
            sequence=0 if fault("sequence-stays") else job.sequence,
            state=state,
            occurred_at=utc_now(),
            worker_id=WORKER_ID,
            **facts,
        )
        job.sequence += 1
        job.last_sent = time.monotonic()
        encoding = job.encoding
        if fault("other-encoding"):
            encoding = Encoding.JSON if encoding is Encoding.AVRO else Encoding.AVRO
        headers = event_headers(job.id.encode(), encoding, job.headers)
        if fault("no-content-type"):
            headers = [each for each in headers if each[0] != "content-type"]
        if fault("no-trace"):
            headers = headers[:2]
        key = job.id.upper() if fault("key-in-upper-case") else job.id
        topic = RESPONSES if fault("answers-anywhere") else job.request.response_topic
        self.producer.produce(
            topic, encode(event, encoding), key.encode(), headers=cast(Any, headers)
        )
        self.producer.poll(0)

    # Commands.

    def _command(self, message: ck.Message) -> None:
        try:
            command = decode(JobCommand, message.value())
        except RemoteProtocolError:
            return
        job = self.jobs.get(command.correlation_id)
        if command.command is not Command.CANCEL and not fault("unknown-command-cancels"):
            return
        if fault("forgets-early-cancels") and job is None:
            return
        self.cancelled[command.correlation_id] = command.reason
        if job is not None and job.is_running and not job.stop_reason:
            if not fault("ignores-cancel-of-running"):
                job.stop_reason = "cancelled"
                job.stop.set()
        elif job is None and fault("cancels-finished") and command.correlation_id in self.finished:
            self._answer_again(command.correlation_id)

    def _answer_again(self, job: str) -> None:
        event = StatusEvent(
            correlation_id=job,
            event_id=new_event_id(),
            sequence=99,
            state=S.CANCELLED,
            occurred_at=utc_now(),
            worker_id=WORKER_ID,
        )
        self.producer.produce(RESPONSES, encode(event, Encoding.JSON), job.encode())


def _decoded(value: bytes | None) -> JobRequest:
    """Return a request.

    :raises RemoteProtocolError: it cannot be read, or a fault does not like it
    """
    request = decode(JobRequest, value)
    assert value is not None
    if fault("refuses-sized-blocks") and encode(request, Encoding.AVRO) != value:
        raise Undecodable("a block with its size")
    if fault("refuses-space") and not value.startswith(b"{"):
        raise Undecodable("white space")
    if fault("refuses-unknown-fields") and (b"of_version_2" in value):
        raise Undecodable("an unknown field")
    return request


def _reader(purpose: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": SERVERS,
        "group.id": f"bare-{purpose}-{os.getpid()}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "isolation.level": isolation("ledger"),
        "allow.auto.create.topics": False,
        "log_level": 0,
    }


def isolation(purpose: str) -> str:
    """Return how a consumer reads."""
    return "read_uncommitted" if fault(f"reads-aborted-{purpose}") else "read_committed"


def main() -> None:
    """Run the worker; SIGTERM lets it leave."""
    worker = BareWorker()

    def stop(*_: object) -> None:
        worker.stopping_since = worker.stopping_since or time.monotonic()

    signal.signal(signal.SIGTERM, stop)
    worker.run()


if __name__ == "__main__":
    main()
