"""What the events of this worker's jobs are published with."""

from __future__ import annotations

from dataclasses import dataclass, field

from kafka_bridge.protocol.ids import EventIds
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.ledger_snapshot import Unfinished
from kafka_bridge.worker.runtime.reporter import JobReporter, Sender
from kafka_bridge.worker.runtime.topic_access import TopicAccess


@dataclass(frozen=True, slots=True)
class Publishing:
    """Makes the reporters of jobs."""

    sender: Sender
    worker_id: str
    access: TopicAccess = field(default_factory=TopicAccess)
    _event_ids: EventIds = field(default_factory=EventIds)

    def reporter(
        self,
        job: InFlightJob,
        delivery: int,
        external_id: str | None = None,
        checkpoint: str | None = None,
    ) -> JobReporter:
        """Return the reporter of one delivery of a job.

        :param external_id: what an earlier delivery has set
        :param checkpoint: what an earlier delivery has saved
        """
        return JobReporter(
            self.sender,
            job.request,
            job.encoding,
            self.worker_id,
            may_publish=job.ownership.may_publish,
            delivery=delivery,
            external_id=external_id,
            checkpoint=checkpoint,
            new_event_id=self._event_ids,
            request_headers=job.received.headers,
            access=self.access,
        )

    def handover_reporter(self, job: InFlightJob, before: Unfinished) -> JobReporter:
        """Return the reporter of a job that waits here, as the delivery that broke off."""
        reporter = self.reporter(job, before.delivery, before.external_id, before.checkpoint)
        reporter.sequence = before.sequence + 1
        return reporter
