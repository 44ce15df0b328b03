"""Choose some of the jobs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase

from kafka_bridge.monitor.jobs import JobView, ShownState


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSelection:
    """Which jobs are wanted. None and the empty set choose all.

    In the names, ``*`` stands for any text.

    :ivar topic: the request topic
    :ivar map_index: of the task; -1 if it is not mapped
    :ivar changed_since: only jobs with a request or an event since then
    :ivar text: only jobs with this text in their id, their names, their message or their error;
        upper and lower case are the same
    """

    states: frozenset[ShownState] = frozenset()
    topic: str | None = None
    job_type: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    worker_id: str | None = None
    changed_since: datetime | None = None
    text: str | None = None

    def includes(self, job: JobView) -> bool:
        """Return whether a job is wanted."""
        task = job.task
        return (
            (not self.states or job.state in self.states)
            and _fits(self.topic, job.topic)
            and _fits(self.job_type, job.job_type)
            and _fits(self.dag_id, task.dag_id if task else None)
            and _fits(self.run_id, task.run_id if task else None)
            and _fits(self.task_id, task.task_id if task else None)
            and self.map_index in (None, task.map_index if task else None)
            and _fits(self.worker_id, job.worker_id)
            and self._is_recent(job)
            and self._has_text(job)
        )

    def _is_recent(self, job: JobView) -> bool:
        if self.changed_since is None or job.changed_at is None:
            return True
        return job.changed_at >= self.changed_since

    def _has_text(self, job: JobView) -> bool:
        if self.text is None:
            return True
        wanted = self.text.casefold()
        return any(wanted in each.casefold() for each in _texts(job))


def _fits(pattern: str | None, name: str | None) -> bool:
    if pattern is None:
        return True
    # Run ids may have brackets, which would be a set of characters in a pattern.
    return name is not None and fnmatchcase(name, pattern.replace("[", "[[]"))


def _texts(job: JobView) -> Iterator[str]:
    yield job.correlation_id
    yield from filter(None, (job.job_type, job.worker_id, job.external_id, job.message))
    if job.task is not None:
        yield from (job.task.dag_id, job.task.run_id, job.task.task_id)
    if job.error is not None:
        yield from (job.error.type, job.error.message)
