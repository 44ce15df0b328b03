"""Where a probe acts: topics that nobody else uses, and the worker under test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from typing import Any, Self

from kafka_bridge.conformance.events import Event, events_of, in_words
from kafka_bridge.conformance.job_types import ECHO
from kafka_bridge.conformance.notes import ENDED, STARTED, Notes
from kafka_bridge.conformance.publisher import Publisher
from kafka_bridge.conformance.setup import Setup
from kafka_bridge.conformance.topic_log import ANSWER_SECONDS, TopicLog
from kafka_bridge.conformance.unmet import NotTested, Unmet, expect
from kafka_bridge.conformance.worker_process import WorkerProcess
from kafka_bridge.kafka.admin.groups import committed_by
from kafka_bridge.kafka.offsets import TopicOffsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import JobRequest, JobState


class Stage(Publisher):
    """Publishes, reads what the worker publishes, and starts workers.

    :param start: starts a process of the worker with more variables; None if it runs already
    :raises KafkaError: the topics cannot be read
    """

    def __init__(
        self,
        setup: Setup,
        notes: Notes,
        start: Callable[[Mapping[str, str]], WorkerProcess] | None,
    ) -> None:
        self._stack = ExitStack()
        self._offsets = TopicOffsets(setup.config)
        partitions = len(self._offsets.partitions(setup.names.requests, ANSWER_SECONDS))
        super().__init__(setup, self._stack.enter_context(RecordProducer(setup.config)), partitions)
        self.setup = setup
        self.patience = setup.patience
        self.notes = notes
        self.workers: list[WorkerProcess] = []
        self._start = start
        self.responses = self.follow(setup.names.responses)
        self.dead_letters = self.follow(setup.names.dead_letters)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        for worker in self.workers:
            worker.kill()
        self._stack.close()

    def follow(self, topic: str) -> TopicLog:
        """Read another topic as long as the stage stands.

        :raises KafkaError: it cannot be read
        """
        return self._stack.enter_context(closing(TopicLog(self.setup.config, topic)))

    # The worker's processes.

    def start_worker(self, **environ: str) -> WorkerProcess:
        """Start a process of the worker.

        :param environ: variables that differ from those of all workers
        :raises NotTested: the worker is not started by the kit
        """
        if self._start is None:
            raise NotTested("the kit does not start the worker")
        self.workers.append(self._start(environ))
        return self.workers[-1]

    # What the worker does.

    def events(self, request: JobRequest, log: TopicLog | None = None) -> list[Event]:
        """Return the events of a job that the worker has published so far.

        :param log: another topic than the response topic
        """
        found = events_of(request.correlation_id, (log or self.responses).records)
        return [each for each in found if each.record.location not in self.own_records]

    def until(
        self,
        request: JobRequest,
        enough: Callable[[list[Event]], Any],
        expected: str,
        seconds: float | None = None,
        log: TopicLog | None = None,
    ) -> list[Event]:
        """Return the events of a job, once there are enough.

        :param expected: completes "expected …", if they do not come
        :param seconds: how long to wait; by default :attr:`Patience.soon`
        :raises Unmet: they did not come
        """
        seconds = self.patience.soon if seconds is None else seconds

        def look() -> list[Event] | None:
            events = self.events(request, log)
            return events if enough(events) else None

        events = (log or self.responses).until(look, seconds)
        if events is None:
            came = self.events(request, log)
            raise Unmet(
                f"{expected} within {seconds:g} s",
                in_words(came),
                came[-1].record if came else None,
            )
        return events

    def end_of(
        self, request: JobRequest, seconds: float | None = None, log: TopicLog | None = None
    ) -> Event:
        """Return the first terminal event of a job.

        :raises Unmet: it did not come
        """
        events = self.until(request, _end, "a terminal event of the job", seconds, log)
        end = _end(events)
        assert end is not None  # noqa: S101  until waits for it
        return end

    def outcome(self, request: JobRequest, state: JobState, seconds: float | None = None) -> Event:
        """Publish a request, and return its terminal event, which must have this state.

        :raises Unmet: it did not come, or has another state
        """
        self.publish(request)
        return self.ends_as(request, state, seconds)

    def ends_as(self, request: JobRequest, state: JobState, seconds: float | None = None) -> Event:
        """Return a job's terminal event, which must have this state.

        :raises Unmet: it did not come, or has another state
        """
        end = self.end_of(request, seconds)
        if end.state is not state:
            raise Unmet(f"the job to end as {state}", in_words(self.events(request)), end.record)
        return end

    def ended_once(self, request: JobRequest) -> None:
        """Check that a job that has ended has one terminal event.

        :raises Unmet: it has more
        """
        events = self.events(request)
        ends = [each for each in events if each.is_terminal]
        expect(len(ends) == 1, "one terminal event", in_words(events), ends[-1].record)

    def running(self, request: JobRequest, seconds: float | None = None) -> None:
        """Wait until the handler of a job was called, as far as one can see.

        :raises Unmet: it was not
        """
        if not self.notes.are_kept:
            self.until(request, bool, "the job to start", seconds)
            time.sleep(self.patience.quiet)
            return
        self.until(
            request,
            lambda _: self.started(request),
            "the handler of the job to be called, and to note that",
            seconds,
        )

    def started(self, request: JobRequest) -> int:
        """Return how often the handler of a job was called; 0 if the worker keeps no notes."""
        return self.notes.count(STARTED, request.correlation_id)

    def ended(self, request: JobRequest) -> int:
        """Return how often the handler of a job returned; 0 if the worker keeps no notes."""
        return self.notes.count(ENDED, request.correlation_id)

    def never_started(self, request: JobRequest, why: str) -> None:
        """Check that the handler of a job was not called, as far as one can see.

        :param why: completes "expected no start of the job: …"
        :raises Unmet: it was
        """
        ran = [each for each in self.events(request) if each.state is JobState.RUNNING]
        record = ran[0].record if ran else None
        expected = f"no start of the job: {why}"
        if self.notes.are_kept:
            expect(not self.started(request), expected, "its handler was called", record)
        else:
            expect(not ran, expected, in_words(ran), record)

    def overtaken(self, request: JobRequest) -> None:
        """Wait until the worker has handled a later request of the same partition.

        :raises Unmet: it does not
        """
        self.outcome(self.request_beside(request, ECHO), JobState.SUCCEEDED)

    def silent(self, seconds: float | None = None) -> None:
        """Wait for what must not happen."""
        threading.Event().wait(self.patience.quiet if seconds is None else seconds)
        self.responses.catch_up()

    def committed(self) -> dict[int, int]:
        """Return by partition the offset that the worker's group has committed."""
        found = committed_by(
            self._offsets.admin,
            self.setup.group,
            self.names.requests,
            range(self.partitions),
            ANSWER_SECONDS,
        )
        return {partition: offset for partition, (offset, _) in found.items()}

    def commits(self, location: RecordLocation) -> None:
        """Wait until the worker's group has committed a request.

        :raises Unmet: it does not
        """

        def look() -> bool | None:
            return self.committed().get(location.partition, 0) > location.offset or None

        if self.responses.until(look, self.patience.soon) is None:
            offset = self.committed().get(location.partition)
            came = "nothing is committed there" if offset is None else f"it commits {offset}"
            raise Unmet(f"the group to commit the request {location}", came)

    def dead_letter(self, request: JobRequest) -> Record | None:
        """Return the dead letter of a job; None if there is none."""
        return self.dead_letter_with(request.correlation_id.encode())

    def dead_letter_with(self, key: bytes) -> Record | None:
        """Return the dead letter with a key; None if there is none."""
        return next((each for each in self.dead_letters.records if each.key == key), None)

    def becomes_dead_letter(self, key: str, expected: str, seconds: float | None = None) -> Record:
        """Return the dead letter with a key.

        :raises Unmet: it did not come
        """
        seconds = self.patience.soon if seconds is None else seconds
        letter = self.dead_letters.until(lambda: self.dead_letter_with(key.encode()), seconds)
        if letter is None:
            raise Unmet(
                f"{expected} on the dead-letter topic within {seconds:g} s",
                f"no record with the key {key} came there",
            )
        return letter


def _end(events: list[Event]) -> Event | None:
    return next((each for each in events if each.is_terminal), None)


def with_id(request: JobRequest) -> JobRequest:
    """Return the same request as another job."""
    return replace(request, correlation_id=new_correlation_id())
