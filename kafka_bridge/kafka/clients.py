"""Open confluent_kafka's clients so that a refused connection is reported with its cause.

A client that is refused (a wrong password, an unknown certificate, …) looks to its caller like one
whose brokers are down: librdkafka retries, and reports the cause by a callback only. Each client
made here keeps the cause, and :func:`ask`, which makes every first request to the brokers, raises
it after a second.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.config import READER_PREFIX, KafkaConfig
from kafka_bridge.kafka.error_translation import is_silence, kafka_error, refused, translate
from kafka_bridge.kafka.forks import keep_in_children
from kafka_bridge.kafka.refusals import explain, is_refusal
from kafka_bridge.protocol.errors import ConfigurationError, KafkaError

REPEAT_SECONDS = 60.0
LOOK_SECONDS = 1.0
"""How long to wait for the first answer before looking whether the brokers refuse this client; then
twice as long each time, since a busy broker may need longer."""
PAUSE_SECONDS = 0.05
"""Between two questions, where one fails at once."""
REFUSAL_SECONDS = 30.0
"""How long a refusal counts: librdkafka tries again within 10 s, so one that lasts comes
back. An older one was a broker's that restarted, say."""
REASON_SECONDS = 5.0
"""How long the reason is cached: thousands of records may fail at once."""


class _NoRepeats(logging.Filter):
    """Passes each line once a minute: librdkafka retries an absent broker many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # The lines of one fault differ in "(after 12ms in state CONNECT)".
        line = re.sub(r"rdkafka#|\(after .*\)|\d+ms", "", record.getMessage())
        now = time.monotonic()
        if now - self._last.get(line, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._last = {text: at for text, at in self._last.items() if now - at < REPEAT_SECONDS}
        self._last[line] = now
        return True


_log = logging.getLogger("kafka_bridge.librdkafka")
_log.addFilter(_NoRepeats())

C = TypeVar("C", ck.Producer, ck.Consumer, AdminClient)
T = TypeVar("T")


class ConnectionWatch:
    """Why a client's connections failed, as librdkafka's error callback reports it.

    :param on_error: is called with each error as well
    """

    def __init__(
        self, settings: Mapping[str, Any], on_error: Callable[[ck.KafkaError], None] | None
    ) -> None:
        self._settings = settings
        self._on_error = on_error
        self._refusal: ck.KafkaError | None = None
        self._refused_at = 0.0
        self._reason: str | None = None
        self._reason_until = 0.0

    def note(self, error: ck.KafkaError) -> None:
        """Note an error of the client."""
        if is_refusal(error):
            self._refusal, self._refused_at = error, time.monotonic()
        if self._on_error is not None:
            self._on_error(error)

    def forget(self) -> None:
        """Forget errors: a broker has answered."""
        self._refusal, self._reason = None, None

    @property
    def is_refused(self) -> bool:
        """Whether a broker, or the client, refused a connection lately."""
        return self._fresh_refusal is not None

    @property
    def _fresh_refusal(self) -> ck.KafkaError | None:
        is_fresh = time.monotonic() - self._refused_at < REFUSAL_SECONDS
        return self._refusal if is_fresh else None

    def why_silent(self, doing: str) -> KafkaError | None:
        """Return why no broker serves this client, or None where that is unknown.

        It may take some seconds, to find out what the brokers expect.
        """
        if self._reason is None or time.monotonic() > self._reason_until:
            self._reason = explain(self._settings, self._fresh_refusal)
            self._reason_until = time.monotonic() + REASON_SECONDS
        if self._reason is None:
            return None
        servers = str(self._settings["bootstrap.servers"])
        return refused(self._reason, doing=doing, servers=servers)


class _Watched:
    connection_watch: ConnectionWatch


class _Producer(_Watched, ck.Producer):
    """A producer with its watch."""


class _Consumer(_Watched, ck.Consumer):
    """A consumer with its watch."""


class _AdminClient(_Watched, AdminClient):
    """An admin client with its watch."""


_WATCHED: dict[type, Callable[..., Any]] = {
    ck.Producer: _Producer,
    ck.Consumer: _Consumer,
    AdminClient: _AdminClient,
}


def make(kind: type[C], settings: Mapping[str, Any]) -> C:
    """Return a client of that kind, whose own log lines go to Python's logging.

    :raises ConfigurationError: librdkafka does not know a property or refuses its value
    """
    watch = ConnectionWatch(settings, settings.get("error_cb"))
    try:
        client = cast(C, _WATCHED[kind]({**settings, "error_cb": watch.note}, logger=_log))
    except ck.KafkaException as error:
        raise ConfigurationError(
            f"invalid Kafka configuration: {kafka_error(error).str().strip()}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"invalid Kafka configuration: {error}") from error
    cast(_Watched, client).connection_watch = watch
    keep_in_children(client)
    return client


def check_properties(config: KafkaConfig) -> None:
    """Check that librdkafka knows all properties and takes their values. No broker is asked.

    :raises ConfigurationError: it does not; the text shows no secret
    """
    settings = {name: value for name, value in config.settings.items() if name != READER_PREFIX}
    try:
        make(AdminClient, settings)
    except ConfigurationError as error:
        raise ConfigurationError(config.masked(str(error))) from error


def watch_of(client: Any) -> ConnectionWatch:
    """Return the watch of a client that :func:`make` returned."""
    return cast(_Watched, client).connection_watch


def ask(
    client: Any,
    question: Callable[[float], T],
    *,
    doing: str,
    servers: str,
    topic: str = "",
    timeout: float,
) -> T:
    """Make a request to the brokers; a refusal of this client is raised within seconds.

    :param client: a client that :func:`make` returned; a consumer's records are never taken
    :param question: gets the seconds that it may take; is asked again while no broker answers
    :param doing: completes "Kafka failed while …"
    :raises AccessDenied: the credentials are wrong, or a permission is missing; the text names it
    :raises BrokerUnreachable: no broker answered within ``timeout`` seconds
    :raises KafkaError: something else that a broker answered
    """
    deadline, patience = time.monotonic() + timeout, LOOK_SECONDS
    while True:
        try:
            answer = question(max(0.01, min(patience, deadline - time.monotonic())))
        except ck.KafkaException as error:
            failure = translate(error, doing=doing, servers=servers, topic=topic)
            if not is_silence(kafka_error(error)):
                raise failure from error
            _serve_errors(client)
            if (reason := watch_of(client).why_silent(doing)) is not None:
                raise reason from error
            if time.monotonic() >= deadline:
                raise failure from error
            patience *= 2
            time.sleep(PAUSE_SECONDS)
        else:
            watch_of(client).forget()
            return answer


def failure_of(
    client: Any, error: ck.KafkaError, *, doing: str, servers: str, topic: str = ""
) -> KafkaError:
    """Return the bridge's error for one that a client reported, with the reason of a refusal."""
    refusal = watch_of(client).why_silent(doing) if is_refusal(error) else None
    return refusal or translate(error, doing=doing, servers=servers, topic=topic)


def _serve_errors(client: Any) -> None:
    """Let librdkafka report its errors, if no other code polls."""
    if not isinstance(client, ck.Consumer) or not client.assignment():
        client.poll(0)
