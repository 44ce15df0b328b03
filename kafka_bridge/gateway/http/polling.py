"""Asking a service how a job is, until it has ended."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator

from kafka_bridge.gateway.http.answers import AnswerUnreadable, Report, State, read_answer
from kafka_bridge.gateway.http.client import Call, Reply, ServiceClient
from kafka_bridge.gateway.http.config import Answer, Polling
from kafka_bridge.gateway.http.failures import RequestFailed
from kafka_bridge.worker import ApplicationError


async def poll(
    client: ServiceClient,
    call: Call,
    polling: Polling,
    answer: Answer,
    tell: Callable[[Report], None],
) -> Report:
    """Ask until the job has ended; return how.

    :param tell: is told what is said before that
    :raises ApplicationError: the service refuses to say, or does not say for too long
    """
    patience = _Patience(polling.give_up_after)
    for pause in _pauses(polling):
        await asyncio.sleep(max(pause, patience.asked_for))
        try:
            reply = await client.send(call, again=False)
            report = _read(answer, reply)
        except ApplicationError as error:
            patience.failed(error)
            tell(Report(State.RUNNING, message=f"Cannot learn how the job is: {error}"))
            continue
        patience.answered(reply.retry_after)
        if report.state is not State.RUNNING:
            return report
        tell(report)
    raise AssertionError("there is always another pause")


def _pauses(polling: Polling) -> Iterator[float]:
    pause = polling.interval
    while True:
        yield pause * (1 + random.uniform(0, polling.jitter))  # noqa: S311  no secret
        pause = min(pause * polling.factor, max(polling.maximum, polling.interval))


def _read(answer: Answer, reply: Reply) -> Report:
    try:
        return read_answer(answer, reply.json())
    except AnswerUnreadable as error:
        raise reply.unreadable(str(error)) from None


class _Patience:
    """How long failures are borne: what passes costs no job. ``asked_for``: the next pause."""

    def __init__(self, seconds: float) -> None:
        self.asked_for = 0.0
        self._seconds = seconds
        self._since: float | None = None

    def answered(self, asked_for: float) -> None:
        self._since, self.asked_for = None, asked_for

    def failed(self, error: ApplicationError) -> None:
        """Bear a failure, or pass it on.

        :raises ApplicationError: it will not pass, or has not for too long
        """
        if not error.retryable:
            raise error
        now = time.monotonic()
        self._since = self._since or now
        if now - self._since > self._seconds:
            raise ApplicationError(
                f"for {now - self._since:.0f} s nobody said how the job is, at last: {error}",
                type=error.type,
                details=error.details,
            )
        self.asked_for = error.retry_after if isinstance(error, RequestFailed) else 0.0
