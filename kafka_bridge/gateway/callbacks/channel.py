"""Callbacks as a job sees them: a URL to be called back at, and what comes there."""

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
    """How the services of a file call back.

    :param receiver: what the file says of callbacks
    :param jobs: the job types that services call back about
    """

    def __init__(self, receiver: CallbackConfig, jobs: Mapping[str, HttpJob]) -> None:
        self._receiver = receiver
        self._jobs = jobs
        self._tokens = CallbackTokens(receiver)
        self._inbox: CallbackInbox | None = None

    @contextlib.contextmanager
    def open(
        self,
        kafka: KafkaConfig,
        count: Callable[[CallbackOutcome], None] = lambda _: None,
        failed: Callable[[], None] = lambda: None,
    ) -> Iterator[int]:
        """Take callbacks, and hear them, inside the block; give the port that they are taken on.

        :param count: called on any thread with what became of each callback
        :param failed: called on any thread when callbacks are not taken any more
        :raises ConfigurationError: the port is taken, or cannot be opened there
        :raises KafkaBridgeError: the topic of callbacks cannot be used; also at the end of the
            block
        :raises RuntimeError: at the end of the block, when callbacks were not taken any more
        """
        topic = self._receiver.topic
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
            serve_callbacks(self._receiver, self._jobs, kafka, count, failed) as port,
        ):
            yield port

    @property
    def expires_after(self) -> float:
        """The seconds for which a URL is good."""
        return self._receiver.expires_after

    def url(self, job_id: str, job_type: str) -> str:
        """Return the URL to call back at for a job.

        :raises ValueError: the secret that signs it cannot be read
        """
        return self._tokens.url(job_id, job_type)

    def listen(
        self, job_id: str, since: datetime | None = None
    ) -> AbstractAsyncContextManager[JobCallbacks]:
        """Hear the callbacks for a job inside the block; see :meth:`CallbackInbox.listen`."""
        assert self._inbox is not None  # noqa: S101  jobs are done while it is open
        return self._inbox.listen(job_id, since)
