"""Asking a service about a job that it has, and how long failures to answer are borne."""

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
from kafka_bridge.worker import ApplicationError

T = TypeVar("T")


async def poll(
    client: ServiceClient,
    call: Call,
    polling: Polling,
    answer: Answer,
    tell: Callable[[StatusReport], None],
) -> StatusReport:
    """Ask until the job has ended; return how.

    :param tell: is told what is said before that
    :raises ApplicationError: there is no usable answer for ``give_up_after``
    """

    async def question() -> tuple[ServiceAnswer, StatusReport]:
        reply = await client.send(call, again=False)
        return reply, _read(answer, reply)

    watch = _Watch(polling, lambda words: tell(StatusReport(ServiceState.RUNNING, message=words)))
    while True:
        await watch.pause()
        report = await watch.answer(question)
        if report.state is not ServiceState.RUNNING:
            return report
        tell(report)


async def fetch(
    client: ServiceClient,
    call: Call,
    polling: Polling,
    read: Callable[[ServiceAnswer], T],
    tell: Callable[[str], None],
) -> T:
    """Return what a service says of a job that has ended: asked at once, and until it says so.

    :param tell: is told of failures
    :raises ApplicationError: there is no usable answer for ``give_up_after``
    """

    async def question() -> tuple[ServiceAnswer, T]:
        reply = await client.send(call, again=False)
        return reply, read(reply)

    return await _Watch(polling, tell).answer(question)


def _read(answer: Answer, reply: ServiceAnswer) -> StatusReport:
    try:
        return read_answer(answer, reply.json())
    except AnswerUnreadable as error:
        raise reply.unreadable(str(error)) from None


class _Watch:
    """Asks one question after another, and bears failures for ``give_up_after``.

    Any failure may pass, refusals, too: a service that is deployed answers 404 for a moment, a
    token is renewed, a proxy redirects to a login. Only 410 says that there is nothing more to ask.

    :param tell: is told of failures
    """

    def __init__(self, polling: Polling, tell: Callable[[str], None]) -> None:
        self._seconds = polling.give_up_after
        self._tell = tell
        self._pauses = _pauses(polling)
        self._asked_for = 0.0
        self._failing_since: float | None = None

    async def pause(self) -> None:
        """Wait until it is time for the next question, or for as long as the service asks."""
        await asyncio.sleep(max(next(self._pauses), self._asked_for))

    async def answer(self, question: Callable[[], Awaitable[tuple[ServiceAnswer, T]]]) -> T:
        """Return a usable answer.

        :raises ApplicationError: there is none for too long, or the question cannot be asked
        """
        while True:
            try:
                reply, found = await question()
            except RequestFailed as error:
                self._bear(error)
            else:
                self._failing_since, self._asked_for = None, reply.retry_after
                return found
            await self.pause()

    def _bear(self, error: RequestFailed) -> None:
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
        self._asked_for = error.retry_after
        self._tell(
            f"No usable answer about the job: {error}. Giving up in {self._seconds - elapsed:.0f} s"
        )


def _pauses(polling: Polling) -> Iterator[float]:
    pause = polling.interval
    while True:
        yield pause * (1 + random.uniform(0, polling.jitter))  # noqa: S311  no secret
        pause = min(pause * polling.factor, max(polling.maximum, polling.interval))
