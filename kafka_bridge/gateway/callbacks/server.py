"""Runs the callback receiver: its port, its thread, and its two Kafka clients."""

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
    max_connections,
)
from kafka_bridge.gateway.callbacks.finished_jobs import MAX_JOBS, FinishedJobs
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
bounded_logger("uvicorn.error")  # it logs a line for each invalid request

KAFKA_SECONDS = 30.0
CATCH_UP_SECONDS = 5.0
"""How long a start waits for the list of finished jobs; reading goes on in the background."""
STOP_SECONDS = 3.0
"""The time for callbacks in progress when the gateway stops."""
BACKLOG = 2048
"""How many connections the operating system queues until they are accepted."""


@contextlib.contextmanager
def serve_callbacks(
    config: CallbackConfig,
    jobs: Mapping[str, HttpJob],
    kafka: KafkaConfig,
    count: Callable[[CallbackOutcome], None] = lambda _: None,
    failed: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Receive callbacks inside the block, on a separate thread; give the port.

    :param jobs: the job types in callback mode
    :param count: is called on that thread with the outcome of each callback
    :param failed: is called if callbacks can no longer be received before the block ends
    :raises ConfigurationError: the port is in use, or cannot be opened
    :raises KafkaBridgeError: the callback topic cannot be used; also at the end of the block
    :raises RuntimeError: at the end of the block, if the server's thread has ended before
    """
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(_bind(config.host, config.port))
        finished = FinishedJobs()
        follower = stack.enter_context(contextlib.closing(_follow(config, kafka, finished, failed)))
        publisher = stack.enter_context(contextlib.closing(CallbackPublisher(kafka, config.topic)))
        receiver = CallbackReceiver(config, jobs, finished, publisher.publish)
        app = callback_app(receiver, urlsplit(config.public_url).path, count)
        stack.enter_context(_serving(app, port, failed))
        number = int(port.getsockname()[1])
        _log.info("Receiving callbacks on %s port %d", config.host, number)
        yield number
        follower.check()


def _follow(
    config: CallbackConfig, kafka: KafkaConfig, finished: FinishedJobs, failed: Callable[[], None]
) -> TopicFollower:
    """Follow the topic to know the finished jobs, whichever gateway received the callbacks.

    Without it, two final callbacks of one job could be accepted. The end of the follower is
    therefore a failure.
    """

    def add(record: Record) -> None:
        if record.key and record.value and ends_job(record.headers):
            finished.add(record.key.decode("utf-8", "replace"), record.value)

    oldest = datetime.fromtimestamp(max(0.0, time.time() - config.expires_after), UTC)
    starts = offsets_since(kafka, config.topic, oldest, timeout=KAFKA_SECONDS)
    ends = end_offsets(kafka, [config.topic], KAFKA_SECONDS)[config.topic]
    share = MAX_JOBS // len(ends)
    follower = TopicFollower(
        kafka,
        config.topic,
        "ended-jobs",
        add,
        starts=[max(start, end - share) for start, end in zip(starts, ends, strict=True)],
        timeout=KAFKA_SECONDS,
        failed=failed,
    )
    with contextlib.suppress(KafkaError):  # it goes on reading in the background
        follower.catch_up(CATCH_UP_SECONDS)
    return follower


def _bind(host: str, port: int) -> socket.socket:
    """Listen. Connections from now on are served as soon as the server runs."""
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
        """Start with a long queue of connections.

        asyncio uses one number for the queue and for how many connections it accepts in a row.
        The latter must be small, so that open connections are served in between.
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
            http=cast(Any, partial(BoundedProtocol, limit=max_connections())),
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,  # it would show the tokens
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
    except BaseException:  # uvicorn raises SystemExit, which would end this thread silently
        _log.exception("The callback server failed")
    finally:
        if not stopping.is_set():
            _log.critical("Callbacks can no longer be received; stopping the gateway")
            failed()
