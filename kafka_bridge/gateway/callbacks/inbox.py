"""Delivers callbacks to jobs: one reader of the topic for all jobs of a gateway."""

from __future__ import annotations

import asyncio
import contextlib
import math
from array import array
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.gateway.callbacks.publisher import ends_job
from kafka_bridge.gateway.callbacks.start_offsets import StartOffsets
from kafka_bridge.gateway.json_text import read_json
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import offsets_since
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.responses.asyncio_delivery import AsyncioDelivery
from kafka_bridge.kafka.responses.reader import ResponseReader
from kafka_bridge.kafka.responses.subscriptions import (
    Arrival,
    Notice,
    Subscription,
    Truncated,
    add_pending,
)
from kafka_bridge.protocol.errors import BrokerUnreachable, ReaderClosed
from kafka_bridge.protocol.event_head import EventHead
from kafka_bridge.protocol.headers import RawHeaders
from kafka_bridge.protocol.messages import JobState

_log = bounded_logger(__name__)

ANSWER_SECONDS = 10.0
_NOT_FINAL = EventHead(delivery=1, state=JobState.RUNNING)
_FINAL = EventHead(delivery=1, state=JobState.SUCCEEDED)


def _head(_value: bytes | None, headers: RawHeaders | None) -> EventHead:
    """Return an event head; its state says whether the callback is final, as in its header."""
    return _FINAL if headers and ends_job(headers) else _NOT_FINAL


class JobCallbacks:
    """The callbacks of one job, in the order in which they were accepted.

    If callbacks arrive faster than the job reads them, the latest and the final one are kept.
    """

    def __init__(self, inbox: CallbackInbox, job_id: str, start: Sequence[int]) -> None:
        self._inbox = inbox
        self._notices: list[Notice] = []
        self._has_some = asyncio.Event()
        self.subscription = Subscription(job_id.encode(), array("q", start), self._notify, _head)

    def _notify(self, notice: Notice) -> None:
        add_pending(self._notices, notice)
        self._has_some.set()

    async def _next_notice(self) -> Notice:
        await self._has_some.wait()
        notice = self._notices.pop(0)
        if not self._notices:
            self._has_some.clear()
        return notice

    async def next(self) -> dict[str, Any]:
        """Wait for the next callback; return its body.

        :raises KafkaBridgeError: callbacks can no longer be read
        """
        while True:
            notice = await self._next_notice()
            if isinstance(notice, Arrival):
                if (body := _object_in(notice)) is not None:
                    return body
            elif isinstance(notice, Truncated):
                _log.warning(
                    "Callbacks of job %s may be lost: the callback topic's retention is too short",
                    self.subscription.key.decode(),
                )
            elif isinstance(notice, BrokerUnreachable):
                self._inbox.join(self.subscription)
            else:
                raise notice


def _object_in(arrival: Arrival) -> dict[str, Any] | None:
    try:
        found = read_json(arrival.value or b"")
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    _log.warning("Record %s is not a callback; it is ignored", arrival.location)
    return None


class CallbackInbox:
    """Reads the callbacks for the jobs of a gateway. All jobs use one event loop.

    :param config: the configuration of Kafka
    :param topic: the callback topic
    :raises TopicNotFound: the topic does not exist
    :raises AccessDenied: it may not be described
    :raises BrokerUnreachable: no broker answered in time
    """

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        self._config = config
        self._topic = topic
        self._starts = StartOffsets(partial(offsets_since, config, topic, timeout=ANSWER_SECONDS))
        self._position: Sequence[int] = end_offsets(config, [topic], ANSWER_SECONDS)[topic]
        self._reader: ResponseReader | None = None

    @contextlib.asynccontextmanager
    async def listen(
        self, job_id: str, since: datetime | None = None
    ) -> AsyncIterator[JobCallbacks]:
        """Receive the callbacks of a job inside the block.

        A job has one listener: a new one replaces the previous one.

        :param since: also receive callbacks that were accepted since then
        :raises KafkaBridgeError: the topic cannot be used
        """
        start = self._now() if since is None else await self._starts.since(since)
        callbacks = JobCallbacks(self, job_id, start)
        self.join(callbacks.subscription)
        try:
            yield callbacks
        finally:
            if self._reader is not None:
                self._reader.unsubscribe(callbacks.subscription)

    def join(self, subscription: Subscription) -> None:
        """Subscribe a job to its callbacks; open a reader if none is open."""
        while True:
            try:
                self._open_reader().join([subscription])
            except ReaderClosed:
                continue
            return

    def close(self) -> None:
        """Close the reader. Jobs that still listen get an error. Blocks for a moment."""
        if self._reader is not None:
            self._reader.close()

    def _now(self) -> Sequence[int]:
        """Return offsets before all callbacks for a job that starts now.

        These are the offsets of the reader, so that no broker has to be asked.
        """
        if self._reader is not None and (positions := self._reader.positions):
            self._position = [positions[number] for number in sorted(positions)]
        return self._position

    def _open_reader(self) -> ResponseReader:
        if self._reader is None or not self._reader.is_open:
            self._now()  # keeps the offsets of the closed reader
            self._reader = ResponseReader(
                self._config, self._topic, AsyncioDelivery().hand_over, linger=math.inf
            )
        return self._reader
