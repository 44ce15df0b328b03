"""What a worker has in flight: partitions, and requests of theirs that it has yet to answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from kafka_bridge.kafka.records import Received
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.worker.cancellation import StopReason
from kafka_bridge.worker.runtime.job_run import JobRun
from kafka_bridge.worker.runtime.membership import Membership
from kafka_bridge.worker.runtime.offset_tracker import OffsetTracker
from kafka_bridge.worker.runtime.reporter import JobReporter


@dataclass(slots=True, eq=False)
class Partition:
    """One assignment of a partition; ``epoch`` numbers the assignments of this process.

    ``orphans`` are jobs, by offset, that were in flight when an earlier assignment of the same
    partition was lost: each is taken up again when its request comes once more. One that others
    have ended, with no request after it, is not found out: it says nothing, and keeps its place
    until its handler ends.

    ``oldest_passed_over``: when the oldest request was made that was ever passed over, seconds
    since 1970. ``unbegun``: how many requests were read that nobody had begun.
    """

    number: int
    epoch: int
    unbegun: int = 0
    oldest_passed_over: float = math.inf
    orphans: dict[int, Claim] = field(default_factory=dict)
    offsets: OffsetTracker = field(default_factory=OffsetTracker)


@dataclass(slots=True, eq=False)
class Claim:
    """A request that this worker sees to. ``reporter`` and ``run`` come as it does.

    ``is_ours``: whether the group has not given the job to another worker, as far as is known.
    ``is_begun``: whether another worker had begun the job. ``was_passed_over``: whether the request
    was read for the second time. ``turn`` orders those that wait.
    """

    partition: Partition
    received: Received
    request: JobRequest
    encoding: Encoding
    membership: Membership
    is_ours: bool = True
    is_begun: bool = False
    was_passed_over: bool = False
    turn: tuple[bool, int] = (True, 0)
    reporter: JobReporter | None = None
    run: JobRun | None = None

    @property
    def correlation_id(self) -> str:
        """The job's id."""
        return self.request.correlation_id

    @property
    def offset(self) -> int:
        """Where the request lies in its partition."""
        return self.received.offset

    @property
    def has_sent_end(self) -> bool:
        """Whether the job's end was said here: it is on record, or on its way there."""
        return self.reporter is not None and self.reporter.has_sent_end

    def may_publish(self) -> bool:
        """Tell whether events of the job may go out now."""
        return self.is_ours and self.membership.may_publish()

    def tick(self) -> None:
        """Send what is due of the job's events."""
        if self.run is not None:
            self.run.tick()
        elif self.reporter is not None:
            self.reporter.tick()

    def give_up(self) -> None:
        """Say nothing more of the job, and ask its handler to stop."""
        if self.reporter is not None:
            self.reporter.abandon()
        if self.run is not None:
            self.run.stop.set(StopReason.LOST, "the group has given the job to another worker")
