"""The receiver's life: its port, its thread, and its two connections to Kafka."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import uvicorn
from fastapi import FastAPI

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.gateway.callbacks.app import callback_app
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.callbacks.connection_limits import (
    ACCEPTED_AT_ONCE,
    BoundedProtocol,
    most_connections,
)
from kafka_bridge.gateway.callbacks.finished_jobs import MOST_JOBS, FinishedJobs
from kafka_bridge.gateway.callbacks.publisher import CallbackPublisher, ends_job
from kafka_bridge.gateway.callbacks.receiver import CallbackReceiver
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.lookups.scan import offsets_since
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import ConfigurationError, KafkaError

_log = logging.getLogger(__name__)
bounded_logger("uvicorn.error")  # it has a line for each request that is no HTTP

KAFKA_SECONDS = 30.0
CATCH_UP_SECONDS = 5.0
"""How long a start may take to learn what has ended; large callbacks may take longer."""
STOP_SECONDS = 3.0
"""How long callbacks that are being taken get when the gateway stops."""
BACKLOG = 2048
"""How many connections the system keeps until they are accepted."""


@contextlib.contextmanager
def serve_callbacks(
    config: CallbackConfig,
    jobs: Mapping[str, HttpJob],
    kafka: KafkaConfig,
    count: Callable[[CallbackOutcome], None] = lambda _: None,
    failed: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Take callbacks inside the block, on a thread of its own; give the port.

    :param jobs: the job types that services call back about
    :param count: called on that thread with what became of each callback
    :param failed: called when callbacks can no longer be taken although the block has not ended
    :raises ConfigurationError: the port is taken, or cannot be opened there
    :raises KafkaBridgeError: the topic of callbacks cannot be used; also at the end of the block
    :raises RuntimeError: at the end of the block, when the server's thread had ended before
    """
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(_bind(config.host, config.port))
        ended = FinishedJobs()
        follower = stack.enter_context(contextlib.closing(_follow(config, kafka, ended, failed)))
        publisher = stack.enter_context(contextlib.closing(CallbackPublisher(kafka, config.topic)))
        receiver = CallbackReceiver(config, jobs, ended, publisher.publish)
        app = callback_app(receiver, urlsplit(config.public_url).path, count)
        stack.enter_context(_serving(app, port, failed))
        number = int(port.getsockname()[1])
        _log.info("Receiving callbacks on %s port %d", config.host, number)
        yield number
        follower.check()


def _follow(
    config: CallbackConfig, kafka: KafkaConfig, ended: FinishedJobs, failed: Callable[[], None]
) -> TopicFollower:
    """Learn from the topic which jobs have ended, whichever gateway was called back.

    Without that knowledge two ends of one job could be taken: the follower's end is a failure.
    """

    def take(record: Record) -> None:
        if record.key and record.value and ends_job(record.headers):
            ended.note(record.key.decode("utf-8", "replace"), record.value)

    oldest = datetime.fromtimestamp(max(0.0, time.time() - config.expires_after), UTC)
    starts = offsets_since(kafka, config.topic, oldest, timeout=KAFKA_SECONDS)
    ends = end_offsets(kafka, [config.topic], KAFKA_SECONDS)[config.topic]
    share = MOST_JOBS // len(ends)
    follower = TopicFollower(
        kafka,
        config.topic,
        "ended-jobs",
        take,
        starts=[max(start, end - share) for start, end in zip(starts, ends, strict=True)],
        timeout=KAFKA_SECONDS,
        failed=failed,
    )
    with contextlib.suppress(KafkaError):  # it goes on; no job is wrong where it does not know
        follower.catch_up(CATCH_UP_SECONDS)
    return follower


def _bind(host: str, port: int) -> socket.socket:
    """Listen: who connects from now on is answered as soon as the server runs."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"cannot listen for callbacks on {host} port {port}: {error}. Choose another with "
            "host and port under callbacks in the gateway's file"
        ) from error


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; asyncio takes one number for how many it accepts in a row and how many may queue.

        In a row there are to be few, so that the others are looked after; the queue is to be long.
        """
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(BACKLOG)


@contextlib.contextmanager
def _serving(
    app: FastAPI, port: socket.socket, failed: Callable[[], None] = lambda: None
) -> Iterator[None]:
    server = _Server(
        uvicorn.Config(
            app,
            loop="asyncio",
            http=cast(Any, partial(BoundedProtocol, most=most_connections())),
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,  # it would tell the tokens
            lifespan="off",
            ws="none",
            server_header=False,
            backlog=ACCEPTED_AT_ONCE,
            timeout_graceful_shutdown=int(STOP_SECONDS),
        )
    )
    stopping = threading.Event()
    thread = threading.Thread(
        target=_run,
        args=(server, port, stopping, failed),
        name="kafka-bridge-callbacks",
        daemon=True,
    )
    thread.start()
    try:
        yield
    finally:
        has_failed = not thread.is_alive()
        stopping.set()
        server.should_exit = True
        thread.join()
    if has_failed:
        raise RuntimeError("the callback server stopped unexpectedly; the log contains its error")


def _run(
    server: uvicorn.Server,
    port: socket.socket,
    stopping: threading.Event,
    failed: Callable[[], None],
) -> None:
    try:
        server.run([port])
    except BaseException:  # uvicorn raises SystemExit, which would end this thread in silence
        _log.exception("The callback server failed")
    finally:
        if not stopping.is_set():
            _log.critical("Callbacks can no longer be received; stopping the gateway")
            failed()
