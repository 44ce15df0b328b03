"""Publishes the status reports of a job, and waits for the first final one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.job_status import (
    AnswerUnreadable,
    ServiceState,
    StatusReport,
    read_answer,
)
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.outbound import MaskedJob
from kafka_bridge.gateway.untrusted_text import excerpt
from kafka_bridge.protocol.messages import Progress

_log = bounded_logger(__name__)

Publish: TypeAlias = Callable[[StatusReport], None]
MAX_UNKNOWN_WORDS = 20
"""At most as many unknown words are reported per job; a service may use a new one each time."""


class ReportPublisher:
    """Publishes the status reports of one job as its progress.

    An unknown word for the job's state counts as running. It is reported once, because the job may
    wait for a terminal state that the service has already reported with this word.

    :param count: is called with the job type for each unknown word
    """

    def __init__(self, job: MaskedJob, count: Callable[[str], None]) -> None:
        self._job = job
        self._count = count
        self._unknown: set[str] = set()

    def publish(self, report: StatusReport) -> None:
        """Publish a report's progress and message."""
        if report.unknown_word is not None:
            self._report_unknown(report.unknown_word)
        self._job.report(report.progress, report.message)

    def _report_unknown(self, word: str) -> None:
        if word in self._unknown or len(self._unknown) == MAX_UNKNOWN_WORDS:
            return
        self._unknown.add(word)
        self._count(self._job.job_type)
        self._job.remark(
            f"Unknown state {excerpt(word)!r} from the service; it counts as running. Add it to "
            "the gateway's file, to succeeded, failed, cancelled or running under answer"
        )


def read_callback(answer: Answer, body: Any, mask: Mask) -> StatusReport | None:
    """Return the report in a callback, None if it cannot be read.

    The receiver refuses unreadable callbacks, but other programs may write to the topic.
    """
    try:
        return read_answer(answer, mask.value(body))
    except AnswerUnreadable as error:
        _log.warning("Ignored a record in the callback topic: %s", error)
        return None


async def first_final(*waits: Coroutine[Any, Any, StatusReport]) -> StatusReport:
    """Return the first final report of several waits; a report is preferred to an error.

    The other waits are cancelled and have ended when the function returns.
    """
    tasks = [asyncio.create_task(each) for each in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return min(done, key=lambda task: task.exception() is not None).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class ReportOrder:
    """Recognises reports of one job that arrive twice or out of order.

    Progress is compared only if total and unit are the same, because a service may work in several
    passes.
    """

    def __init__(self) -> None:
        self._last: StatusReport | None = None
        self._furthest: Progress | None = None

    def is_old(self, report: StatusReport) -> bool:
        """Return whether a report is old; remember it if it is new. A final report is never old.

        A report is old if it equals the last one, or if its progress is behind an earlier one.
        """
        if report.state is not ServiceState.RUNNING:
            return False
        if report == self._last or self._is_behind(report.progress):
            return True
        self._last = report
        self._furthest = report.progress or self._furthest
        return False

    def _is_behind(self, progress: Progress | None) -> bool:
        furthest = self._furthest
        return (
            progress is not None
            and furthest is not None
            and (progress.total, progress.unit) == (furthest.total, furthest.unit)
            and progress.completed < furthest.completed
        )
