"""The timeouts of a batch, and the states of its jobs. Pure; times are seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from kafka_bridge.airflow.batch.progress import Tally
from kafka_bridge.airflow.batch.specs import BatchWaitSpec
from kafka_bridge.airflow.triggerer.timeouts import Deadline, Timeouts
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.lifecycle import JobHistory, Verdict
from kafka_bridge.protocol.messages import ErrorType, JobState

_RUNNING = (JobState.ACCEPTED, JobState.RUNNING, JobState.UNKNOWN)


class BatchTimeouts(Timeouts):
    """All jobs of a batch, and the timeouts that end the wait for them.

    ``heartbeat_timeout`` applies while jobs run, ``schedule_to_start_timeout`` while none does.
    Both count from the last event of any job. ``timeout`` counts from the submission.

    :param job_ids: the jobs' correlation ids
    """

    __slots__ = ("_jobs", "_spec", "_states", "_unfinished")

    def __init__(self, spec: BatchWaitSpec, job_ids: Iterable[str], began: float) -> None:
        super().__init__(began)
        self._spec = spec
        self._jobs = {job: JobHistory() for job in job_ids}
        self._states: Counter[JobState | None] = Counter({None: len(self._jobs)})
        self._unfinished = len(self._jobs)

    @property
    def tally(self) -> Tally:
        """How many jobs are in which state."""
        states = self._states
        return Tally(
            total=len(self._jobs),
            running=sum(states[each] for each in _RUNNING),
            succeeded=states[JobState.SUCCEEDED],
            failed=states[JobState.FAILED] + states[JobState.CANCELLED],
        )

    @property
    def is_done(self) -> bool:
        """Whether every job has finished."""
        return not self._unfinished

    @property
    def has_failures(self) -> bool:
        """Whether a job has failed or was cancelled."""
        return bool(self._states[JobState.FAILED] or self._states[JobState.CANCELLED])

    @property
    def unfinished(self) -> Iterator[str]:
        """The ids of the unfinished jobs."""
        return (job for job, history in self._jobs.items() if not history.finished)

    def apply(self, job: str, head: EventHead, now: float) -> Verdict:
        """Apply the head of a job's event that arrived now; return whether it counts."""
        history = self._jobs[job]
        before = history.state
        verdict = history.take(head)
        if verdict is Verdict.TAKEN:
            self._last_event_at = now
            self._states[before] -= 1
            self._states[history.state] += 1
            self._unfinished -= history.finished
        return verdict

    def _deadlines(self) -> Iterator[Deadline]:
        tally, spec, last_event_at = self.tally, self._spec, self._last_event_at
        if (limit := spec.timeout) is not None:
            message = f"the batch did not finish within {limit:g} s: {tally}"
            yield self._deadline(spec.submitted_at + limit, ErrorType.DEADLINE_EXCEEDED, message)
        if tally.running and (limit := spec.heartbeat_timeout) is not None:
            message = f"no worker has published anything for {limit:g} s: {tally}"
            yield self._deadline(last_event_at + limit, ErrorType.WORKER_LOST, message)
        if not tally.running and (limit := spec.schedule_to_start_timeout) is not None:
            message = f"no worker accepted or finished a job for {limit:g} s: {tally}"
            yield self._deadline(last_event_at + limit, ErrorType.NOT_STARTED, message)
