"""Who speaks for jobs that another worker had begun, until there is a place for them here.

The task of such a job was told that it runs, and hears nothing since its worker died. It would call
that worker lost, although another one has its partition. So this one says at once that it has the
job, and then in every heartbeat interval. It says so as the delivery that broke off: the job is not
begun again yet, and its turn to be blamed for the death of a worker has not come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kafka_bridge.worker.runtime.claims import Claim
from kafka_bridge.worker.runtime.heartbeats import Heartbeats
from kafka_bridge.worker.runtime.reporter import JobReporter


@dataclass(slots=True, eq=False)
class _StandIn:
    """Speaks for one job."""

    claim: Claim
    reporter: JobReporter
    words: str
    has_spoken: bool = False

    def tick(self) -> None:
        """Say that the job is here, or that it still is."""
        if self.has_spoken:
            self.reporter.tick()
        elif self.claim.may_publish():
            self.has_spoken = True
            self.reporter.say(self.words)


class StandIns:
    """Those that speak now, by correlation id. For the polling thread alone."""

    def __init__(self, heartbeats: Heartbeats, worker_id: str) -> None:
        self._heartbeats = heartbeats
        self._words = f"Waits for a free place on worker {worker_id}: the one that had it is gone"
        self._by_job: dict[str, _StandIn] = {}

    def __len__(self) -> int:
        return len(self._by_job)

    def add(self, claim: Claim, reporter: JobReporter) -> None:
        """Speak for a job from now on."""
        if claim.correlation_id in self._by_job:
            return  # its request was published twice
        each = self._by_job[claim.correlation_id] = _StandIn(claim, reporter, self._words)
        each.tick()
        self._heartbeats.add(each)

    def remove(self, claim: Claim) -> None:
        """Say nothing more for a job: it is begun, or ended."""
        if self._by_job and (each := self._by_job.pop(claim.correlation_id, None)) is not None:
            self._silence(each)

    def drop(self, gone: Callable[[Claim], bool]) -> None:
        """Say nothing more for these jobs: others have their partitions."""
        for each in [each for each in self._by_job.values() if gone(each.claim)]:
            self._silence(self._by_job.pop(each.claim.correlation_id))

    def _silence(self, each: _StandIn) -> None:
        self._heartbeats.remove(each)
        each.reporter.abandon()  # the heartbeats' thread may be at it
