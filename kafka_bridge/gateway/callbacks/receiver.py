"""Checks a callback, stores it in the topic, and accepts it only then."""

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
"""Stores a callback of a job; raises :class:`KafkaBridgeError` if it may not be stored."""


class CallbackReceiver:
    """Receives callbacks for the jobs of a file. Its state may be lost at any time.

    :param config: the callbacks section of the file
    :param jobs: the job types in callback mode
    :param finished: the jobs that are finished
    :param publish: stores a callback
    """

    def __init__(
        self,
        config: CallbackConfig,
        jobs: Mapping[str, HttpJob],
        finished: FinishedJobs,
        publish: Publish,
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._finished = finished
        self._publish = publish
        self._tokens = CallbackTokens(config)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def receive(
        self, token: str, headers: Mapping[str, str], chunks: AsyncIterator[bytes]
    ) -> CallbackOutcome:
        """Receive a callback; return when it is stored, or if it was stored before.

        :param token: the token in the URL
        :param headers: the headers of the request, which ignore upper and lower case
        :param chunks: the body in pieces
        :raises CallbackRefused: the callback is not accepted
        """
        try:
            callback, job = self._addressed(token)
        except CallbackRefused:
            with contextlib.suppress(CallbackRefused):
                await read_body(chunks, 0)  # the body of an unknown sender is not stored
            raise
        body = await read_body(chunks, self._config.max_body_bytes)
        if job.signature is not None:
            with _secrets():
                check_signature(job.signature, headers, body)
        is_end = _is_end(job.answer, body)
        async with self._turn(callback.job_id) if is_end else contextlib.nullcontext():
            match self._finished.seen(callback.job_id, body):
                case Seen.SAME:
                    return CallbackOutcome.DUPLICATE
                case Seen.OTHER:
                    raise CallbackRefused(
                        CallbackOutcome.CONFLICT,
                        "the job is already finished: another callback ended it",
                    )
            await self._store(callback, body, is_end=is_end)
        return CallbackOutcome.ACCEPTED

    def _turn(self, job_id: str) -> asyncio.Lock:
        """Return the lock of a job's final callbacks, so that only one of them is accepted.

        The lock is deleted when nothing uses it.
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

    async def _store(self, callback: CallbackToken, body: bytes, *, is_end: bool) -> None:
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
            self._finished.add(callback.job_id, body)


def _is_end(answer: Answer, body: bytes) -> bool:
    try:
        return read_answer(answer, parse_body(body)).state is not ServiceState.RUNNING
    except AnswerUnreadable as error:
        raise CallbackRefused(CallbackOutcome.MALFORMED, str(error)) from None


@contextlib.contextmanager
def _secrets() -> Iterator[None]:
    """Refuse a callback as temporarily unavailable if a secret cannot be read in the block."""
    try:
        yield
    except ValueError as error:
        _log.error("Could not check a callback: %s", error)
        raise CallbackRefused(
            CallbackOutcome.UNAVAILABLE,
            "callbacks cannot be checked at the moment: send it again later",
        ) from None
