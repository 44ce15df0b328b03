"""Heartbeats for jobs that another worker had begun, until they have a slot here.

The task of such a job knows that the job runs, and gets no event since its worker died. It would
fail as worker_lost, although another worker has the partition. So this worker publishes an event at
once, and then one in every heartbeat interval. It publishes them as the delivery that broke off:
the job has not begun again, and must not be blamed for the death of this worker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.in_flight import InFlightJob
from kafka_bridge.worker.runtime.reporter import JobReporter


@dataclass(slots=True, eq=False)
class _Handover:
    """The heartbeats of one job."""

    job: InFlightJob
    reporter: JobReporter
    message: str
    has_begun: bool = False

    def tick(self) -> None:
        """Publish the first event, or a heartbeat that is due."""
        if self.has_begun:
            self.reporter.tick()
        elif self.job.may_publish():
            self.has_begun = True
            self.reporter.publish_message(self.message)

    def __str__(self) -> str:
        return str(self.job)


class HandoverHeartbeats:
    """The handover heartbeats of a worker, by correlation id. For the polling thread alone."""

    def __init__(self, heartbeats: Heartbeats, worker_id: str) -> None:
        self._heartbeats = heartbeats
        self._message = f"Waits for a free slot on worker {worker_id}: its last worker is gone"
        self._by_job: dict[str, _Handover] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    def add(self, job: InFlightJob, reporter: JobReporter) -> None:
        """Publish heartbeats of a job from now on, if its sender wants any."""
        if not job.request.heartbeat_interval_ms or job.correlation_id in self._by_job:
            return  # in the second case, its request was published twice
        each = self._by_job[job.correlation_id] = _Handover(job, reporter, self._message)
        each.tick()
        self._heartbeats.add(each)

    def remove(self, job: InFlightJob) -> None:
        """Publish nothing more for a job: it is accepted, or ended."""
        if self._by_job and (each := self._by_job.pop(job.correlation_id, None)) is not None:
            self._end(each)

    def drop(self, is_gone: Callable[[InFlightJob], bool]) -> None:
        """Publish nothing more for these jobs: other workers have their partitions."""
        for each in [each for each in self._by_job.values() if is_gone(each.job)]:
            self._end(self._by_job.pop(each.job.correlation_id))

    def _end(self, each: _Handover) -> None:
        self._heartbeats.remove(each)
        each.reporter.abandon()  # the heartbeat thread may be using it
