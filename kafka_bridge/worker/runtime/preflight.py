"""What a worker asks its brokers when it starts: whether they answer, and what it may do.

It is asked on a thread of its own and stops nothing: a broker may still be starting, and a right
may be granted later. But nobody should have to wait for the first job to learn of either.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

from kafka_bridge.kafka.admin.acls import worker_acls
from kafka_bridge.kafka.admin.rights import MissingRight, Rights
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import BrokerUnreachable, KafkaBridgeError

_log = logging.getLogger(__name__)

ANSWER_SECONDS = 3.0
"""How long the brokers may take until the worker says that it waits for them."""
REPEAT_SECONDS = 10.0


class Preflight:
    """Asks until the brokers have answered once.

    :param topics: those that the worker uses
    :param group: its consumer group
    :param source: what sets the brokers' addresses, for the words
    """

    def __init__(self, config: KafkaConfig, topics: TopicNames, group: str, source: str) -> None:
        self._config = config
        self._topics = topics
        self._group = group
        self._source = source
        self._stopping = threading.Event()

    def run(self) -> None:
        """Ask, and say what is wrong."""
        rights = Rights(self._config)
        principal, prefix = _principal(self._config), self._config.reader_prefix
        acls = list(worker_acls(self._topics, principal, self._group, prefix))
        began, said_at = time.monotonic(), -REPEAT_SECONDS
        while not self._stopping.is_set():
            try:
                missing = rights.missing(acls, ANSWER_SECONDS)
            except BrokerUnreachable:
                now = time.monotonic()
                if now - said_at >= REPEAT_SECONDS:
                    said_at = now
                    self._say_waiting(now - began)
                self._stopping.wait(max(0.0, ANSWER_SECONDS - (time.monotonic() - now)))
                continue
            for each in missing:
                self._say_missing(each)
            return

    def _say_missing(self, right: MissingRight) -> None:
        hint = ""
        if right.acl.resource == "topic" and right.acl.name == self._topics.responses:
            hint = " (or name this service's response topic: KAFKA_BRIDGE_RESPONSE_TOPIC)"
        _log.error(
            "This worker lacks a right: %s. Grant it, for example with: %s%s",
            right,
            right.acl.command(self._config.bootstrap_servers),
            hint,
        )

    def _say_waiting(self, seconds: float) -> None:
        _log.warning(
            "No Kafka broker at %s has answered for %.0f s (the address is from %s); still trying",
            self._config.bootstrap_servers,
            seconds,
            self._source,
        )

    def stop(self) -> None:
        """Ask no more."""
        self._stopping.set()


@contextlib.contextmanager
def preflight(config: KafkaConfig, topics: TopicNames, group: str, source: str) -> Iterator[None]:
    """Have a :class:`Preflight` run beside the block, until it is done or the block ends."""
    check = Preflight(config, topics, group, source)

    def run() -> None:
        try:
            check.run()
        except KafkaBridgeError as error:
            _log.debug("What this worker may do could not be asked: %s", error)
        except Exception:
            _log.debug("What this worker may do could not be asked", exc_info=True)

    threading.Thread(target=run, name="kafka-bridge-preflight", daemon=True).start()
    try:
        yield
    finally:
        check.stop()


def _principal(config: KafkaConfig) -> str:
    """Return who the brokers take this client for, as far as its properties tell."""
    return f"User:{config.settings.get('sasl.username', '…')}"
