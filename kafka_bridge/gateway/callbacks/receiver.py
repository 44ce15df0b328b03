"""What is done with a callback: checked, kept in the topic, and only then accepted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import TypeAlias
from weakref import WeakValueDictionary

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.gateway.callbacks.authentication import (
    CallbackToken,
    CallbackTokens,
    check_signature,
)
from kafka_bridge.gateway.callbacks.bodies import parse_body, read_body
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome, CallbackRefused
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.callbacks.finished_jobs import FinishedJobs, Seen
from kafka_bridge.gateway.callbacks.publisher import callback_headers
from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.gateway.http.job_status import AnswerUnreadable, ServiceState, read_answer
from kafka_bridge.protocol.errors import KafkaBridgeError, RecordTooLarge
from kafka_bridge.protocol.headers import Headers

_log = bounded_logger(__name__)

Publish: TypeAlias = Callable[[str, bytes, Headers], Awaitable[None]]
"""Keeps a job's callback; raises :class:`KafkaBridgeError` where that is not certain."""


class CallbackReceiver:
    """Takes callbacks for the jobs of a file. It holds nothing that must not be lost.

    :param receiver: what the file says of callbacks
    :param jobs: the job types that services call back about
    :param ended: which jobs have ended
    :param publish: keeps a callback
    """

    def __init__(
        self,
        receiver: CallbackConfig,
        jobs: Mapping[str, HttpJob],
        ended: FinishedJobs,
        publish: Publish,
    ) -> None:
        self._receiver = receiver
        self._jobs = jobs
        self._ended = ended
        self._publish = publish
        self._tokens = CallbackTokens(receiver)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(
        self, token: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> CallbackOutcome:
        """Take a callback; return once it is kept, or was before.

        :param token: from the URL
        :param headers: the request's; looked up without regard to case
        :param chunks: the body as it arrives
        :raises CallbackRefused: it is not taken
        """
        try:
            callback, job = self._addressed(token)
        except CallbackRefused:
            with contextlib.suppress(CallbackRefused):
                await read_body(chunks, 0)  # of who is nobody, nothing is kept
            raise
        body = await read_body(chunks, self._receiver.max_body_bytes)
        if job.signature is not None:
            with _secrets():
                check_signature(job.signature, headers, body)
        is_end = _is_end(job.answer, body)
        async with self._turn(callback.job_id) if is_end else contextlib.nullcontext():
            match self._ended.seen(callback.job_id, body):
                case Seen.SAME:
                    return CallbackOutcome.DUPLICATE
                case Seen.OTHER:
                    raise CallbackRefused(
                        CallbackOutcome.CONFLICT,
                        "the job is already finished: another callback ended it",
                    )
            await self._keep(callback, body, is_end=is_end)
        return CallbackOutcome.ACCEPTED

    def _turn(self, job_id: str) -> asyncio.Lock:
        """Return a lock that one end of a job holds at a time, so that one is taken.

        It is gone when nobody holds it or waits for it.
        """
        return self._turns.setdefault(job_id, asyncio.Lock())

    def _addressed(self, token: str) -> tuple[CallbackToken, HttpJob]:
        with _secrets():
            callback = self._tokens.read(token)
        job = self._jobs.get(callback.job_type)
        if job is None:
            raise CallbackRefused(
                CallbackOutcome.UNKNOWN_JOB_TYPE,
                f"callbacks are not expected for job type {callback.job_type!r}",
            )
        return callback, job

    async def _keep(self, callback: CallbackToken, body: bytes, *, is_end: bool) -> None:
        headers = callback_headers(callback.job_type, ends_job=is_end)
        try:
            await self._publish(callback.job_id, body, headers)
        except RecordTooLarge as error:
            _log.warning("Refused a callback for job %s: %s", callback.job_id, error)
            raise CallbackRefused(
                CallbackOutcome.OVERSIZED,
                f"a body of {len(body):,} bytes is too large to be stored",
            ) from None
        except KafkaBridgeError as error:
            _log.warning("Could not store a callback for job %s: %s", callback.job_id, error)
            raise CallbackRefused(
                CallbackOutcome.UNAVAILABLE, "the callback could not be stored: send it again later"
            ) from None
        if is_end:
            self._ended.note(callback.job_id, body)


def _is_end(answer: Answer, body: bytes) -> bool:
    try:
        return read_answer(answer, parse_body(body)).state is not ServiceState.RUNNING
    except AnswerUnreadable as error:
        raise CallbackRefused(CallbackOutcome.MALFORMED, str(error)) from None


@contextlib.contextmanager
def _secrets() -> Iterator[None]:
    """Refuse a callback for now where a secret cannot be read inside the block."""
    try:
        yield
    except ValueError as error:
        _log.error("Could not check a callback: %s", error)
        raise CallbackRefused(
            CallbackOutcome.UNAVAILABLE,
            "callbacks cannot be checked at the moment: send it again later",
        ) from None
