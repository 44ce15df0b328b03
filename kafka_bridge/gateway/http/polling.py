"""Polls a service for the status of a job, and fetches the result; tolerates failures."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

from kafka_bridge.gateway.http.answer import ServiceAnswer
from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.client import Call, ServiceClient
from kafka_bridge.gateway.http.config import Polling
from kafka_bridge.gateway.http.job_status import (
    AnswerUnreadable,
    ServiceState,
    StatusReport,
    read_answer,
)
from kafka_bridge.gateway.http.request_errors import RequestFailed
from kafka_bridge.gateway.http.status_reports import Publish
from kafka_bridge.worker import ApplicationError

T = TypeVar("T")


async def poll(
    client: ServiceClient,
    call: Call,
    polling: Polling,
    answer: Answer,
    publish: Publish,
) -> StatusReport:
    """Poll until the job has finished; return the final report.

    :param publish: is called with each report before the final one
    :raises ApplicationError: there was no usable answer for ``give_up_after``
    """

    async def request() -> tuple[ServiceAnswer, StatusReport]:
        reply = await client.send(call, retry=False)
        return reply, _read(answer, reply)

    poller = _Poller(
        polling, lambda text: publish(StatusReport(ServiceState.RUNNING, message=text))
    )
    while True:
        await poller.pause()
        report = await poller.answer(request)
        if report.state is not ServiceState.RUNNING:
            return report
        publish(report)


async def fetch(
    client: ServiceClient,
    call: Call,
    polling: Polling,
    read: Callable[[ServiceAnswer], T],
    report: Callable[[str], None],
) -> T:
    """Fetch the result of a finished job: at once, and again after failures.

    :param read: returns the result in an answer
    :param report: is called with a message for each failure
    :raises ApplicationError: there was no usable answer for ``give_up_after``
    """

    async def request() -> tuple[ServiceAnswer, T]:
        reply = await client.send(call, retry=False)
        return reply, read(reply)

    return await _Poller(polling, report).answer(request)


def _read(answer: Answer, reply: ServiceAnswer) -> StatusReport:
    try:
        return read_answer(answer, reply.json())
    except AnswerUnreadable as error:
        raise reply.unreadable(str(error)) from None


class _Poller:
    """Sends one request after another, and tolerates failures for ``give_up_after``.

    Any failure may be temporary, refusals too: a service answers 404 while it is deployed, a token
    is renewed, a proxy redirects to a login. Only 410 is final.

    :param report: is called with a message for each failure
    """

    def __init__(self, polling: Polling, report: Callable[[str], None]) -> None:
        self._seconds = polling.give_up_after
        self._report = report
        self._pauses = _pauses(polling)
        self._retry_after = 0.0
        self._failing_since: float | None = None

    async def pause(self) -> None:
        """Wait until the next request is due: for the configured pause, or for ``Retry-After``."""
        await asyncio.sleep(max(next(self._pauses), self._retry_after))

    async def answer(self, request: Callable[[], Awaitable[tuple[ServiceAnswer, T]]]) -> T:
        """Return a usable answer.

        :raises ApplicationError: there was no usable answer for too long, or the request cannot be
            sent
        """
        while True:
            try:
                reply, found = await request()
            except RequestFailed as error:
                self._tolerate(error)
            else:
                self._failing_since, self._retry_after = None, reply.retry_after
                return found
            await self.pause()

    def _tolerate(self, error: RequestFailed) -> None:
        if error.is_final:
            raise error
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        elapsed = now - self._failing_since
        if elapsed > self._seconds:
            raise ApplicationError(
                f"no usable answer about the job for {elapsed:.0f} s (give_up_after); the last "
                f"failure: {error}",
                type=error.type,
                details=error.details,
            )
        self._retry_after = error.retry_after
        self._report(
            f"No usable answer about the job: {error}. Giving up in {self._seconds - elapsed:.0f} s"
        )


def _pauses(polling: Polling) -> Iterator[float]:
    pause = polling.interval
    while True:
        yield pause * (1 + random.uniform(0, polling.jitter))  # noqa: S311  no secret
        pause = min(pause * polling.factor, max(polling.maximum, polling.interval))
