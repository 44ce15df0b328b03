"""The start of a worker: it waits until a broker answers, then logs missing permissions."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future

from kafka_bridge.kafka.admin.acls import principal_of, worker_acls
from kafka_bridge.kafka.admin.permissions import MissingPermission, Permissions
from kafka_bridge.kafka.admin.topics import TopicNames, broker_count
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import BrokerUnreachable, KafkaBridgeError

_log = logging.getLogger(__name__)

ANSWER_SECONDS = 3.0
"""How long the brokers may take to answer before the worker logs that it waits for them."""
REPEAT_SECONDS = 30.0
"""The time between two such log lines."""
TRY_SECONDS = 30.0
"""How long one client waits for an answer before another one takes its place."""
LOOK_SECONDS = 0.1
"""How often the waiting thread looks whether the worker was told to stop."""


def wait_for_brokers(config: KafkaConfig, source: str, stopping: threading.Event) -> None:
    """Return once a broker has answered, or ``stopping`` is set.

    There is no time limit: a broker may be restarting, and another start of the worker would not
    help. The brokers are asked on another thread, so that a signal ends the wait at once.

    :param source: what sets the brokers' addresses, for the log
    :raises AccessDenied: the brokers refuse this client
    :raises ConfigurationError: a Kafka property is unknown, or its value is not possible
    :raises KafkaError: they answered with another error
    """
    answered: Future[None] = Future()
    threading.Thread(
        target=_ask_until_answered, args=(config, answered), name="kafka-bridge-start", daemon=True
    ).start()
    began, next_line = time.monotonic(), ANSWER_SECONDS
    while not stopping.is_set():
        try:
            answered.result(LOOK_SECONDS)
        except TimeoutError:
            waited = time.monotonic() - began
            if waited >= next_line:
                next_line = waited + REPEAT_SECONDS
                _log_waiting(config, waited, source)
            continue
        if next_line > ANSWER_SECONDS:
            _log.info("A Kafka broker answered after %.0f s", time.monotonic() - began)
        return
    answered.cancel()


def _ask_until_answered(config: KafkaConfig, answered: Future[None]) -> None:
    """Ask for the brokers until one answers or refuses; an answer that was cancelled ends it."""
    error: BaseException | None = None
    while not answered.cancelled():
        try:
            broker_count(config, TRY_SECONDS)
        except BrokerUnreachable:
            continue
        except BaseException as other:
            error = other
        break
    if answered.set_running_or_notify_cancel():
        if error is None:
            answered.set_result(None)
        else:
            answered.set_exception(error)


def _log_waiting(config: KafkaConfig, seconds: float, source: str) -> None:
    _log.warning(
        "No Kafka broker at %s has answered for %.0f s (the address is from %s); still trying",
        config.bootstrap_servers,
        seconds,
        source,
    )


@contextlib.contextmanager
def permissions_check(config: KafkaConfig, topics: TopicNames, group: str) -> Iterator[None]:
    """Log the permissions that the worker lacks, on another thread beside the block.

    It stops nothing: a permission may be granted later. The log line comes before the first job
    needs the permission.

    :param topics: the topics that the worker uses
    :param group: its consumer group
    """
    stopping = threading.Event()
    threading.Thread(
        target=_check_permissions,
        args=(config, topics, group, stopping),
        name="kafka-bridge-permissions",
        daemon=True,
    ).start()
    try:
        yield
    finally:
        stopping.set()


def _check_permissions(
    config: KafkaConfig, topics: TopicNames, group: str, stopping: threading.Event
) -> None:
    try:
        for each in _missing_permissions(config, topics, group, stopping):
            _log_missing(each, config, topics)
    except KafkaBridgeError as error:
        _log.debug("Asking the brokers for the permissions of this worker failed: %s", error)
    except Exception:
        _log.debug("Asking the brokers for the permissions of this worker failed", exc_info=True)


def _missing_permissions(
    config: KafkaConfig, topics: TopicNames, group: str, stopping: threading.Event
) -> list[MissingPermission]:
    permissions = Permissions(config)
    acls = list(worker_acls(topics, principal_of(config), group, config.reader_prefix))
    while not stopping.is_set():
        with contextlib.suppress(BrokerUnreachable):
            return permissions.missing(acls, ANSWER_SECONDS)
        stopping.wait(ANSWER_SECONDS)
    return []


def _log_missing(permission: MissingPermission, config: KafkaConfig, topics: TopicNames) -> None:
    hint = ""
    if permission.acl.resource == "topic" and permission.acl.name == topics.responses:
        hint = " (or name this service's response topic: KAFKA_BRIDGE_RESPONSE_TOPIC)"
    _log.error(
        "This worker lacks a permission: %s. Grant it, for example with: %s%s",
        permission,
        permission.acl.command(config.bootstrap_servers),
        hint,
    )
