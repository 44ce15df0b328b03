"""Callbacks from a job's point of view: its callback URL, and the callbacks sent to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from kafka_bridge.gateway.callbacks.authentication import CallbackTokens
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.callbacks.inbox import CallbackInbox, JobCallbacks
from kafka_bridge.gateway.callbacks.server import serve_callbacks
from kafka_bridge.gateway.http.config import HttpJob
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import TopicNotFound


class CallbackChannel:
    """Receives the callbacks for the jobs of a file.

    :param config: the callbacks section of the file
    :param jobs: the job types in callback mode
    """

    def __init__(self, config: CallbackConfig, jobs: Mapping[str, HttpJob]) -> None:
        self._config = config
        self._jobs = jobs
        self._tokens = CallbackTokens(config)
        self._inbox: CallbackInbox | None = None

    @contextlib.contextmanager
    def open(
        self,
        kafka: KafkaConfig,
        count: Callable[[CallbackOutcome], None] = lambda _: None,
        failed: Callable[[], None] = lambda: None,
    ) -> Iterator[int]:
        """Receive callbacks inside the block; give the port.

        :param count: is called on any thread with the outcome of each callback
        :param failed: is called on any thread when callbacks can no longer be received
        :raises ConfigurationError: the port is in use, or cannot be opened
        :raises KafkaBridgeError: the callback topic cannot be used; also at the end of the block
        :raises RuntimeError: at the end of the block, if callbacks could no longer be received
        """
        topic = self._config.topic
        try:
            self._inbox = CallbackInbox(kafka, topic)
        except TopicNotFound:
            raise TopicNotFound(
                f"the callback topic {topic!r} does not exist on Kafka at "
                f"{kafka.bootstrap_servers}: create it (`kafka-bridge topics create --callbacks "
                f"{topic}`) or correct callbacks.topic in the gateway's file"
            ) from None
        with (
            contextlib.closing(self._inbox),
            serve_callbacks(self._config, self._jobs, kafka, count, failed) as port,
        ):
            yield port

    @property
    def expires_after(self) -> float:
        """The seconds for which a callback URL is valid."""
        return self._config.expires_after

    def url(self, job_id: str, job_type: str) -> str:
        """Return the callback URL of a job.

        :raises ValueError: the secret that signs it cannot be read
        """
        return self._tokens.url(job_id, job_type)

    def listen(
        self, job_id: str, since: datetime | None = None
    ) -> AbstractAsyncContextManager[JobCallbacks]:
        """Receive the callbacks of a job inside the block; see :meth:`CallbackInbox.listen`."""
        assert self._inbox is not None  # noqa: S101  jobs are done while it is open
        return self._inbox.listen(job_id, since)
