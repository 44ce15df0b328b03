"""What a service reports of a job on its way: passed on, and the first end that comes taken."""

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

Tell: TypeAlias = Callable[[StatusReport], None]
MOST_WORDS = 20
"""Of so many unknown words each is named; a service may use a new one each time."""


class Reports:
    """Passes on what a service reports of one job.

    A word for the job's state that nobody knows is taken for "running", and named once: the job
    would otherwise wait for an end that the service has reported long ago.

    :param count: is called for each of those words with the job's type
    """

    def __init__(self, job: MaskedJob, count: Callable[[str], None]) -> None:
        self._job = job
        self._count = count
        self._unknown: set[str] = set()

    def tell(self, report: StatusReport) -> None:
        """Publish a report's progress and message."""
        if report.unknown_word is not None:
            self._take_unknown(report.unknown_word)
        self._job.report(report.progress, report.message)

    def _take_unknown(self, word: str) -> None:
        if word in self._unknown or len(self._unknown) == MOST_WORDS:
            return
        self._unknown.add(word)
        self._count(self._job.job_type)
        self._job.remark(
            f"The service says that the job is {excerpt(word)!r}, an unknown word, taken for "
            "running. List it in the gateway's file, under succeeded, failed, cancelled or running "
            "of answer"
        )


def read_callback(answer: Answer, body: Any, mask: Mask) -> StatusReport | None:
    """Return what a callback reports, None where it cannot be read.

    The receiver refuses such bodies, but others may write to the topic, too.
    """
    try:
        return read_answer(answer, mask.value(body))
    except AnswerUnreadable as error:
        _log.warning("A record of the callbacks' topic is ignored: %s", error)
        return None


async def first_end(*waits: Coroutine[Any, Any, StatusReport]) -> StatusReport:
    """Return the first end that one of several waits for; of two that come together, a success.

    When it returns, none of them waits any longer.
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
    """Knows how far one job has come by what was called back about it.

    Progress counts as going back only where it is counted in the same way: of as many, in the same
    unit. A service may do its work in several passes.
    """

    def __init__(self) -> None:
        self._last: StatusReport | None = None
        self._furthest: Progress | None = None

    def is_old(self, report: StatusReport) -> bool:
        """Tell whether a report says nothing new, else take it in. The end of a job is never old.

        It is old when it is the same as the last one, or its progress is behind what was seen.
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
