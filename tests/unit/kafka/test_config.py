"""Client settings: what may be set, what may not be unset, and what stays secret."""

from __future__ import annotations

from typing import Any

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import ALIASES, ENV_BOOTSTRAP, GROUP_PREFIX, KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError

SERVERS = "127.0.0.1:9"

# An Airflow connection as people have them: made for the provider's consumer, with a secret.
CONNECTION: dict[str, Any] = {
    "bootstrap.servers": SERVERS,
    "security.protocol": "SASL_PLAINTEXT",
    "sasl.mechanism": "PLAIN",
    "sasl.username": "airflow",
    "sasl.password": "very-secret",
    "group.id": "their-group",
    "group.instance.id": "their-instance",
    "auto.offset.reset": "latest",
    "isolation.level": "read_uncommitted",
    "enable.auto.commit": True,
    "enable.auto.offset.store": True,
    "enable.partition.eof": True,
    "allow.auto.create.topics": True,
    "max.poll.interval.ms": 400_000,
    "session.timeout.ms": 20_000,
    "acks": "0",
    "request.required.acks": "0",
    "enable.idempotence": False,
    "retries": 0,
    "message.timeout.ms": 1,
    "delivery.timeout.ms": 1,
    "partitioner": "random",
    "transactional.id": "their-transactions",
    "compression.type": "lz4",
    "linger.ms": 7,
}
CONFIG = KafkaConfig(CONNECTION)

PROMISES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "producer",
        CONFIG.producer(delivery_timeout=12.5),
        {
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.timeout.ms": 12_500,
            "allow.auto.create.topics": False,
        },
    ),
    (
        "reader",
        CONFIG.reader("responses"),
        {
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
        },
    ),
    (
        "worker",
        CONFIG.worker("my-service"),
        {
            "group.id": "my-service",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
        },
    ),
    ("admin", CONFIG.admin(), {"allow.auto.create.topics": False}),
]

# Each side's settings, and a property of another side that it must not be given.
LEFT_OUT = [
    ("producer", "group.id"),
    ("producer", "group.instance.id"),
    ("producer", "auto.offset.reset"),
    ("producer", "isolation.level"),
    ("producer", "enable.auto.commit"),
    ("producer", "session.timeout.ms"),
    ("producer", "max.poll.interval.ms"),
    ("producer", "transactional.id"),
    ("producer", "request.required.acks"),
    ("producer", "delivery.timeout.ms"),
    ("producer", "retries"),
    ("reader", "group.instance.id"),
    ("reader", "enable.partition.eof"),
    ("reader", "acks"),
    ("reader", "transactional.id"),
    ("reader", "compression.type"),
    ("worker", "enable.partition.eof"),
    ("worker", "acks"),
    ("worker", "linger.ms"),
    ("admin", "group.id"),
    ("admin", "acks"),
]
SETTINGS = {side: settings for side, settings, _ in PROMISES}


@pytest.mark.parametrize("settings", [{}, {"bootstrap.servers": ""}, {"group.id": "g"}])
def test_brokers_must_be_named(settings: dict[str, Any]) -> None:
    """Without brokers there is no configuration, and the error gives an example of one."""
    with pytest.raises(ConfigurationError, match=r'\{"bootstrap.servers": "kafka:9092"\}'):
        KafkaConfig(settings)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_second_name_of_a_property_means_the_same(alias: str, name: str) -> None:
    """What was set by librdkafka's other name is neither lost nor given to the wrong client."""
    brokers = {} if name == "bootstrap.servers" else {"bootstrap.servers": SERVERS}
    one, other = (KafkaConfig({**brokers, each: "7"}) for each in (name, alias))
    assert one.settings == other.settings
    assert one.producer(5) == other.producer(5)
    assert one.worker("g") == other.worker("g")


def test_two_names_of_a_property_with_two_values_are_refused() -> None:
    """Nobody can tell which of them was meant."""
    same = {"bootstrap.servers": SERVERS, "linger.ms": 7, "queue.buffering.max.ms": "7"}
    assert KafkaConfig(same).settings["linger.ms"] == 7
    with pytest.raises(
        ConfigurationError,
        match=r"linger\.ms and queue\.buffering\.max\.ms are two names .* remove one of them",
    ):
        KafkaConfig(same | {"queue.buffering.max.ms": 8})


def test_environment_sets_any_property() -> None:
    """KAFKA_BRIDGE_KAFKA_<NAME> is the property of that name with dots; nothing else is read."""
    config = KafkaConfig.from_env(
        {
            "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "a:1,b:2",
            "KAFKA_BRIDGE_KAFKA_SASL_USERNAME": "me",
            "KAFKA_BRIDGE_KAFKA_MAX_POLL_INTERVAL_MS": "7000",
            "KAFKA_BRIDGE_GROUP_ID": "not Kafka's",
            "KAFKA_SASL_PASSWORD": "not ours",
        }
    )
    assert dict(config.settings) == {
        "bootstrap.servers": "a:1,b:2",
        "sasl.username": "me",
        "max.poll.interval.ms": "7000",
    }


def test_bootstrap_variable_goes_before_the_property() -> None:
    """KAFKA_BRIDGE_BOOTSTRAP_SERVERS wins; the property alone will do."""
    property_only = {"KAFKA_BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "a:1"}
    assert KafkaConfig.from_env(property_only).bootstrap_servers == "a:1"
    both = property_only | {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": "b:2"}
    assert KafkaConfig.from_env(both).bootstrap_servers == "b:2"


@pytest.mark.parametrize("environ", [{}, {"KAFKA_BRIDGE_BOOTSTRAP_SERVERS": ""}])
def test_environment_without_brokers_names_the_variable(environ: dict[str, str]) -> None:
    """The error says which variable to set, and shows how."""
    with pytest.raises(
        ConfigurationError, match=r"set KAFKA_BRIDGE_BOOTSTRAP_SERVERS, for example .*=localhost"
    ):
        KafkaConfig.from_env(environ)


def test_repr_shows_no_secret() -> None:
    """A configuration in a log or a traceback names the brokers and nothing else."""
    assert repr(CONFIG) == f"KafkaConfig(bootstrap.servers='{SERVERS}')"
    assert str(CONFIG) == repr(CONFIG)


@pytest.mark.parametrize(
    ("settings", "promised"),
    [(settings, promised) for _, settings, promised in PROMISES],
    ids=[side for side, _, _ in PROMISES],
)
def test_promises_cannot_be_unset(settings: dict[str, Any], promised: dict[str, Any]) -> None:
    """Settings that the bridge's guarantees rest on hold, whatever the connection says."""
    assert {name: settings[name] for name in promised} == promised


@pytest.mark.parametrize(("side", "name"), LEFT_OUT)
def test_properties_of_other_clients_are_left_out(side: str, name: str) -> None:
    """One connection serves all kinds of clients: what belongs to another kind is not passed."""
    assert name in CONNECTION
    assert name not in SETTINGS[side]


@pytest.mark.parametrize("side", SETTINGS)
def test_connection_settings_reach_every_client(side: str) -> None:
    """How to reach and enter the cluster is the same for every kind of client."""
    for name in ("bootstrap.servers", "security.protocol", "sasl.username", "sasl.password"):
        assert SETTINGS[side][name] == CONNECTION[name]


def test_producer_keeps_what_may_be_tuned() -> None:
    """Compression and batching are the user's own."""
    settings = CONFIG.producer(30)
    assert (settings["compression.type"], settings["linger.ms"]) == ("lz4", 7)


@pytest.mark.parametrize(("delivery_timeout", "expected"), [(2.0, 1000), (30.0, 5000)])
def test_unknown_topic_is_noticed_before_the_delivery_times_out(
    delivery_timeout: float, expected: int
) -> None:
    """A missing topic is reported as such, not as brokers that did not answer."""
    settings = CONFIG.producer(delivery_timeout)
    assert settings["topic.metadata.propagation.max.ms"] == expected
    assert expected < settings["message.timeout.ms"]


@pytest.mark.parametrize("own", [None, 500])
def test_clients_connect_soon_unless_the_user_says_otherwise(own: int | None) -> None:
    """Half of this time lies between the first two connections of a client."""
    settings = {"bootstrap.servers": SERVERS} | ({"reconnect.backoff.ms": own} if own else {})
    config = KafkaConfig(settings)
    made = [config.producer(30), config.admin(), config.reader("test"), config.worker("g")]
    assert [each["reconnect.backoff.ms"] for each in made] == [own or 20] * 4


def test_reader_to_the_end_is_not_held_up_by_the_users_fetches() -> None:
    """They are tuned for consumers that wait for new records."""
    config = KafkaConfig({"bootstrap.servers": SERVERS, "fetch.wait.max.ms": 5_000})
    assert config.reader("test")["fetch.wait.max.ms"] == 5_000
    assert config.reader_to_end("test")["fetch.wait.max.ms"] <= 20


def test_reader_has_a_group_of_its_own_each_time() -> None:
    """A reader never joins the connection's group, nor another reader's."""
    first, second = (CONFIG.reader("responses")["group.id"] for _ in range(2))
    assert first.startswith(f"{GROUP_PREFIX}responses-")
    assert first != second


@pytest.mark.parametrize(
    ("settings", "interval_ms"),
    [
        ({}, 3_000),
        ({"session.timeout.ms": "6000"}, 2_000),
        ({"session.timeout.ms": 6_000, "heartbeat.interval.ms": 3_000}, 3_000),
    ],
)
def test_heartbeats_come_often_enough_for_the_session(
    settings: dict[str, Any], interval_ms: int
) -> None:
    """A short session has quicker ones by itself; what is set holds, up to half the session."""
    config = KafkaConfig({"bootstrap.servers": SERVERS, **settings})
    assert config.worker("g")["heartbeat.interval.ms"] == interval_ms


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"session.timeout.ms": 6_000, "heartbeat.interval.ms": "3001"},
            "heartbeat.interval.ms is 3001, more than half of session.timeout.ms, 6000",
        ),
        (
            {"heartbeat.interval.ms": 20_000},
            "more than half of session.timeout.ms, 30000: one late heartbeat would cost",
        ),
        (
            {"heartbeat.interval.ms": "often"},
            "heartbeat.interval.ms must be a number of milliseconds, not 'often'",
        ),
        (
            {"session.timeout.ms": "long"},
            "session.timeout.ms must be a number of milliseconds, not 'long'",
        ),
    ],
)
def test_heartbeats_that_come_too_seldom_are_refused(settings: dict[str, Any], words: str) -> None:
    """The group would give up a worker that is well. Whoever only reads has no session."""
    config = KafkaConfig({"bootstrap.servers": SERVERS, **settings})
    with pytest.raises(ConfigurationError, match=words):
        config.worker("g")
    config.reader("test")
    config.producer(1.0)


def test_session_is_the_brokers_with_the_newer_protocol() -> None:
    """There, neither time-out nor interval may be set, nor a strategy."""
    newer = KafkaConfig({"bootstrap.servers": SERVERS, "group.protocol": "consumer"}).worker("g")
    assert not newer.keys() & {
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "partition.assignment.strategy",
    }


def test_worker_session_timeout_is_30_s_unless_set() -> None:
    """A dead worker's jobs go to another one after 30 s, or as the settings say."""
    bare = KafkaConfig({"bootstrap.servers": SERVERS})
    assert bare.worker("g")["session.timeout.ms"] == 30_000
    assert CONFIG.worker("g")["session.timeout.ms"] == 20_000


@pytest.mark.parametrize(
    ("kind", "side"),
    [
        (ck.Producer, "producer"),
        (ck.Consumer, "reader"),
        (ck.Consumer, "worker"),
        (AdminClient, "admin"),
    ],
)
def test_librdkafka_takes_what_is_made_of_a_full_connection(kind: Any, side: str) -> None:
    """A connection with settings for every kind of client makes each of them without an error."""
    client = make(kind, SETTINGS[side])
    if isinstance(client, ck.Consumer):
        client.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sasl.usrname": "me"}, 'No such configuration property: "sasl.usrname"'),
        ({"socket.timeout.ms": "soon"}, 'property "socket.timeout.ms"'),
        ({"socket.timeout.ms": 1}, '"socket.timeout.ms" value 1 is outside allowed range'),
    ],
)
def test_wrong_setting_is_an_error_in_words(settings: dict[str, Any], words: str) -> None:
    """A property that librdkafka does not take is a ConfigurationError that names it."""
    config = KafkaConfig({"bootstrap.servers": SERVERS, **settings})
    with pytest.raises(ConfigurationError, match="invalid Kafka configuration") as caught:
        make(AdminClient, config.admin())
    assert words in str(caught.value)


def test_readers_groups_begin_as_the_environment_sets_it() -> None:
    """Teams with prefixed ACLs have names of their own; librdkafka never sees the property."""
    environ = {ENV_BOOTSTRAP: "b:1", "KAFKA_BRIDGE_READER_GROUP_PREFIX": "team-a."}
    config = KafkaConfig.from_env(environ)
    assert config.reader_prefix == "team-a."
    kinds = [config.reader("scan"), config.worker("g"), config.producer(30.0), config.admin()]
    assert all("reader.group.prefix" not in settings for settings in kinds)
    assert config.reader("scan")["group.id"].startswith("team-a.scan-")


@pytest.mark.parametrize("prefix", ["", "  ", 7])
def test_readers_groups_need_a_beginning(prefix: object) -> None:
    """A prefix that is empty would cover every group of the cluster."""
    with pytest.raises(ConfigurationError, match=r"reader\.group\.prefix must be a non-empty"):
        KafkaConfig({"bootstrap.servers": "b:1", "reader.group.prefix": prefix})
