"""Client configuration from a plain mapping of librdkafka's own property names.

Whatever librdkafka knows can be set; what the bridge's promises rest on cannot be unset. A mapping
made for one kind of client (an Airflow connection usually has a ``group.id``) serves all kinds:
properties that belong to the other kind are left out.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka_bridge.protocol.errors import ConfigurationError

ENV_BOOTSTRAP = "KAFKA_BRIDGE_BOOTSTRAP_SERVERS"
ENV_PREFIX = "KAFKA_BRIDGE_KAFKA_"

GROUP_PREFIX = "kafka-bridge-"
"""Groups of readers that assign partitions themselves begin so: one prefixed ACL covers them."""
READER_PREFIX = "reader.group.prefix"
"""The bridge's own property, among librdkafka's, which sets another beginning: where each team has
ACLs for names of its own."""
ENV_READER_PREFIX = "KAFKA_BRIDGE_READER_GROUP_PREFIX"

MESSAGE_BYTES = 1_048_588
"""Kafka's own default for max.message.bytes: readers hold whole messages in memory."""
UNCOMPRESSED = "uncompressed"
"""The one compression.type with which a broker unpacks a batch and measures what was in it."""

UNKNOWN_TOPIC_SECONDS = 5.0
"""How long a client believes that a topic unknown to the brokers was created just now.

With librdkafka's own 30 s it would look as if no broker had answered in time.
"""

BATCH_BYTES = 50_000
"""The largest batch of several records, before compression; a larger record goes alone.

librdkafka's own limit is 1 MB. A topic with a lower max.message.bytes would refuse such a batch,
and each record in it would count as too large.
"""
WORKER_QUEUE_KB = 4096
"""How many requests a worker's client fetches ahead: more than it can begin in a second. With
librdkafka's own 64 MB, short requests take 200 MB of memory."""
SESSION_TIMEOUT_MS = 30_000
HEARTBEAT_INTERVAL_MS = 3_000
"""librdkafka's own; a session under 9 s has a third of it."""

_DEFAULTS = {"reconnect.backoff.ms": 20}
"""Of every client. A new client closes the connection to its bootstrap server once it knows the
brokers, and waits half of this time before it connects to one of them (``sparse_connect_intvl`` in
rdkafka_conf.c): 11 ms instead of the 50 ms of librdkafka's own 100. A broker that is away is tried
at intervals that double up to ``reconnect.backoff.max.ms``, as before."""

_CONSUMER_ONLY = frozenset(
    {
        "group.id",
        "group.instance.id",
        "group.protocol",
        "group.remote.assignor",
        "partition.assignment.strategy",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "max.poll.interval.ms",
        "enable.auto.commit",
        "auto.commit.interval.ms",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "fetch.min.bytes",
        "fetch.max.bytes",
        "fetch.wait.max.ms",
        "max.partition.fetch.bytes",
        "queued.min.messages",
        "queued.max.messages.kbytes",
        "enable.partition.eof",
        "check.crcs",
        "on_commit",
    }
)
_PRODUCER_ONLY = frozenset(
    {
        "acks",
        "enable.idempotence",
        "transactional.id",
        "transaction.timeout.ms",
        "compression.type",
        "compression.level",
        "linger.ms",
        "queue.buffering.max.messages",
        "queue.buffering.max.kbytes",
        "batch.size",
        "batch.num.messages",
        "message.timeout.ms",
        "request.timeout.ms",
        "partitioner",
        "retries",
        "max.in.flight.requests.per.connection",
        "delivery.report.only.error",
        "sticky.partitioning.linger.ms",
    }
)


ALIASES = {
    "metadata.broker.list": "bootstrap.servers",
    "sasl.mechanisms": "sasl.mechanism",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "fetch.message.max.bytes": "max.partition.fetch.bytes",
    "request.required.acks": "acks",
    "compression.codec": "compression.type",
    "queue.buffering.max.ms": "linger.ms",
    "delivery.timeout.ms": "message.timeout.ms",
    "message.send.max.retries": "retries",
}
"""Properties with two names in librdkafka (its CONFIGURATION.md), and which name is used here."""

_SECRET = re.compile(r"password|passphrase|secret|\.pem$|oauthbearer\.config$")
"""The names of properties whose values may be secret."""


def _property(name: str) -> str:
    """Return librdkafka's name for an environment variable's: only ``log_level`` is spelt so."""
    return "log_level" if name == "LOG_LEVEL" else name.lower().replace("_", ".")


def environment_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the properties that an environment sets, as :meth:`KafkaConfig.from_env` says."""
    settings = {
        _property(name.removeprefix(ENV_PREFIX)): value
        for name, value in environ.items()
        if name.startswith(ENV_PREFIX)
    }
    if servers := environ.get(ENV_BOOTSTRAP):
        settings["bootstrap.servers"] = servers
    if prefix := environ.get(ENV_READER_PREFIX):
        settings[READER_PREFIX] = prefix
    return settings


def _with_one_name_each(settings: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: value for name, value in settings.items() if name not in ALIASES}
    for alias, name in ALIASES.items():
        if alias in settings:
            value = settings[alias]
            if str(named.setdefault(name, value)) != str(value):
                raise ConfigurationError(
                    f"{name} and {alias} are two names of one property, and their values differ: "
                    "remove one of them"
                )
    return named


@dataclass(frozen=True, repr=False)
class KafkaConfig:
    """How to reach a Kafka cluster: ``settings`` maps librdkafka's property names to values.

    Of a property with two names, one is kept.

    :raises ConfigurationError: it has no brokers, or a property has two names and two values
    """

    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "settings", _with_one_name_each(self.settings))
        if not self.settings.get("bootstrap.servers"):
            raise ConfigurationError(
                "the Kafka configuration has no 'bootstrap.servers': "
                'set it to the brokers\' addresses, for example {"bootstrap.servers": "kafka:9092"}'
            )
        if not isinstance(self.reader_prefix, str) or not self.reader_prefix.strip():
            raise ConfigurationError(
                f"{READER_PREFIX} must be a non-empty string, not {self.reader_prefix!r}"
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> KafkaConfig:
        """Return what the environment says.

        ``KAFKA_BRIDGE_BOOTSTRAP_SERVERS`` names the brokers; ``KAFKA_BRIDGE_KAFKA_SASL_USERNAME``
        sets ``sasl.username``, and likewise for every other property.
        ``KAFKA_BRIDGE_READER_GROUP_PREFIX`` sets how the groups of readers begin.

        :param environ: the process's own by default
        :raises ConfigurationError: no bootstrap servers are set
        """
        settings = environment_settings(os.environ if environ is None else environ)
        if not settings.get("bootstrap.servers"):
            raise ConfigurationError(
                f"no Kafka brokers are configured: set {ENV_BOOTSTRAP}, for example "
                f"{ENV_BOOTSTRAP}=localhost:9092, or --bootstrap-servers on the command line"
            )
        return cls(settings)

    def __repr__(self) -> str:
        """Name the brokers and nothing else: the settings may hold secrets."""
        return f"KafkaConfig(bootstrap.servers={self.bootstrap_servers!r})"

    def masked(self, text: str) -> str:
        """Return a text in which the values of secret properties are replaced by ``***``."""
        secrets = (str(value) for name, value in self.settings.items() if _SECRET.search(name))
        for each in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(each, "***")
        return text

    @property
    def bootstrap_servers(self) -> str:
        """The brokers' addresses, comma-separated."""
        return str(self.settings["bootstrap.servers"])

    @property
    def reader_prefix(self) -> str:
        """How the groups of readers that assign partitions themselves begin."""
        prefix: str = self.settings.get(READER_PREFIX, GROUP_PREFIX)
        return prefix

    @property
    def session_timeout(self) -> float:
        """Seconds of silence after which a worker's group gives it up, as far as this side says."""
        return self._milliseconds("session.timeout.ms", SESSION_TIMEOUT_MS) / 1000

    def _milliseconds(self, name: str, default: float) -> float:
        try:
            return float(self.settings.get(name, default))
        except ValueError as error:
            raise ConfigurationError(
                f"{name} must be a number of milliseconds, not {self.settings[name]!r}"
            ) from error

    def _heartbeat_interval_ms(self) -> int:
        """Return how often a worker tells its group that it lives.

        :raises ConfigurationError: one heartbeat that is late would end the session, or nearly
        """
        session = self._milliseconds("session.timeout.ms", SESSION_TIMEOUT_MS)
        interval = self._milliseconds(
            "heartbeat.interval.ms", min(HEARTBEAT_INTERVAL_MS, session // 3)
        )
        if interval > session / 2:
            raise ConfigurationError(
                f"heartbeat.interval.ms is {interval:g}, more than half of session.timeout.ms, "
                f"{session:g}: one late heartbeat would cost the worker its partitions. "
                "Set it to a third of session.timeout.ms, or remove it"
            )
        return int(interval)

    def _without(self, names: frozenset[str]) -> dict[str, Any]:
        left_out = names | {READER_PREFIX}
        kept = {name: value for name, value in self.settings.items() if name not in left_out}
        return {**_DEFAULTS, **kept}

    def producer(self, delivery_timeout: float) -> dict[str, Any]:
        """Return settings of an idempotent producer that gives up after so many seconds.

        Keys are partitioned with Java's murmur2, so that the events of a job lie in one partition
        whoever wrote them.
        """
        # Whoever sends waits for the acknowledgement; batches form while the brokers work.
        # A broker refuses a batch as a whole where it exceeds the topic's max.message.bytes.
        kept = {"compression.type", "compression.level", "linger.ms", "batch.size"}
        unknown_topic = min(UNKNOWN_TOPIC_SECONDS, delivery_timeout / 2)
        return {
            "linger.ms": 1,
            "batch.size": BATCH_BYTES,
            **self._without(_CONSUMER_ONLY | (_PRODUCER_ONLY - kept)),
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(delivery_timeout * 1000),
            "topic.metadata.propagation.max.ms": int(unknown_topic * 1000),
            "allow.auto.create.topics": False,
        }

    def admin(self) -> dict[str, Any]:
        """Return settings of an admin client, whose metadata look-ups create no topic."""
        return {
            **self._without(_CONSUMER_ONLY | _PRODUCER_ONLY),
            "allow.auto.create.topics": False,
        }

    def reader(self, purpose: str) -> dict[str, Any]:
        """Return settings of a consumer that assigns partitions itself and commits nothing.

        Its group is its own, never the connection's: ``<prefix><purpose>-<random>``. A full
        local queue is looked at again after 10 ms, not after librdkafka's 1 s: a reader that
        catches up empties it in a tenth of that.
        """
        return {
            "fetch.queue.backoff.ms": 10,
            **self._without(_PRODUCER_ONLY | {"group.instance.id", "enable.partition.eof"}),
            "group.id": f"{self.reader_prefix}{purpose}-{uuid.uuid4().hex[:12]}",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "topic.metadata.propagation.max.ms": int(UNKNOWN_TOPIC_SECONDS * 1000),
        }

    def reader_to_end(self, purpose: str) -> dict[str, Any]:
        """Return settings of a :meth:`reader` that reads what a topic has and is then closed.

        A fetch that finds no record is answered after 20 ms, not after librdkafka's 500: it only
        tells that the end is reached.
        """
        return {**self.reader(purpose), "fetch.wait.max.ms": 20}

    def worker(self, group_id: str) -> dict[str, Any]:
        """Return settings of a worker's consumer, whose offsets the worker commits itself.

        A new group starts at the earliest offset, so that no job sent before it is lost. The
        session time-out is 30 s unless set: how long Kafka waits before it gives a dead worker's
        jobs to another one.

        :raises ConfigurationError: its heartbeats would come too seldom for that
        """
        # With Kafka's newer group protocol these are the broker's to set.
        is_classic = self.settings.get("group.protocol") != "consumer"
        return {
            **(self._classic_group() if is_classic else {}),
            "queued.max.messages.kbytes": WORKER_QUEUE_KB,
            "fetch.queue.backoff.ms": 10,
            **self._without(_PRODUCER_ONLY | {"enable.partition.eof"}),
            "group.id": group_id,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
        }

    def _classic_group(self) -> dict[str, Any]:
        return {
            "session.timeout.ms": SESSION_TIMEOUT_MS,
            "heartbeat.interval.ms": self._heartbeat_interval_ms(),
            "partition.assignment.strategy": "cooperative-sticky",
        }
