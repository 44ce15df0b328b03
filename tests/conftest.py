"""Fixtures that all tests share: real Kafka brokers, and topics on them that nobody else uses.

A test that takes `real_broker`, `topics`, `private_broker`, `secured_kafka`, `kafka_cluster` or
`kafka_jars` gets the mark `real_kafka` by itself. Where no real broker is to be had it is skipped,
with the reason; where the environment says CI, it fails instead: a green CI has seen a real Kafka.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest
from hypothesis import settings

from kafka_bridge.bounded_log import LineBudget
from kafka_bridge.testing import (
    ApacheKafka,
    BrokerUnavailable,
    KafkaCluster,
    NoBrokerFound,
    SecuredKafka,
    find_broker,
)
from kafka_bridge.testing.brokers import jars
from kafka_bridge.testing.local_airflow import PostgresMissing, postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from kafka_bridge.testing import Broker

# Airflow creates the folders of its home when it is imported, here and in the tests' subprocesses.
if "airflow" not in sys.modules:
    _airflow_home = tempfile.TemporaryDirectory(prefix="airflow-home-")  # gone with the session
    os.environ["AIRFLOW_HOME"] = _airflow_home.name

# On a busy machine an example may take any time: pytest's own timeout ends what hangs.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

REAL_BROKER_FIXTURES = {"real_broker", "private_broker", "kafka_jars"}


class TopicFactory(Protocol):
    """What the fixture `topics` gives."""

    def __call__(
        self,
        prefix: str = "topic",
        partitions: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> str:
        """Create a topic with a name of its own, and return that name."""


class Eventually(Protocol):
    """What the fixture `eventually` gives."""

    def __call__(self, condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
        """Wait up to `timeout` seconds until `condition()` is true; fail, saying `what`."""


@pytest.fixture(autouse=True)
def _log_lines_are_not_left_out() -> None:
    """Let each test see the lines that it causes, whatever the tests before it have logged."""
    for name in list(logging.root.manager.loggerDict):
        for each in logging.getLogger(name).filters:
            if isinstance(each, LineBudget):
                each.forget()


def _unique_name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def _eventually(condition: Callable[[], object], what: str, timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {what}")
        time.sleep(0.05)


def in_ci() -> bool:
    """Tell whether this is CI, where nothing that tests want may be missing."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test where a person runs it; fail it in CI."""
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def airflow_database() -> Iterator[str | None]:
    """Give the URL of a new Postgres for an Airflow. Without one, SQLite has to do; not in CI."""
    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(postgres())
        except PostgresMissing as missing:
            if in_ci():
                pytest.fail(f"CI runs Airflow on Postgres: {missing}", pytrace=False)
            warnings.warn(f"Airflow runs on SQLite, for want of Postgres: {missing}", stacklevel=1)
            url = None
        yield url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark with `real_kafka` whatever uses a real broker."""
    for item in items:
        if REAL_BROKER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real_kafka)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what no UTF-8 can hold in captured text: a test's process sends its reports on."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def unique_name() -> Callable[[str], str]:
    """Give a function that makes names no other test and no earlier run has used, from a prefix."""
    return _unique_name


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Give a function that waits for something to become true, and fails where it does not."""
    return _eventually


@pytest.fixture(scope="session")
def real_broker() -> Iterator[Broker]:
    """Share one real Kafka in the session: use `topics` and `unique_name`, never hurt it."""
    try:
        broker = find_broker()
    except NoBrokerFound as error:
        skip_or_fail(str(error))
    with broker:
        yield broker


@pytest.fixture
def topics(real_broker: Broker) -> Iterator[TopicFactory]:
    """Make topics on the real broker, gone after the test."""
    made: list[str] = []

    def create(
        prefix: str = "topic",
        partitions: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> str:
        name = _unique_name(prefix)
        real_broker.create_topic(name, partitions, config)
        made.append(name)
        return name

    yield create
    real_broker.delete_topics(made)


@pytest.fixture(scope="session")
def kafka_jars() -> None:
    """Make sure that this machine can start an `ApacheKafka`: a JDK, and Kafka's jars."""
    try:
        jars.java_command()
        jars.kafka_jars()
    except BrokerUnavailable as error:
        skip_or_fail(str(error))


@pytest.fixture
def private_broker(kafka_jars: None) -> Iterator[ApacheKafka]:
    """Give one test a real Kafka of its own, to be killed, stopped and paused."""
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def secured_kafka(kafka_jars: None) -> Iterator[SecuredKafka]:
    """Share one secured Kafka in the session: give each test users and topics of its own."""
    if shutil.which("openssl") is None:
        skip_or_fail("no 'openssl' on PATH")
    with SecuredKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def _shared_cluster(kafka_jars: None) -> Iterator[KafkaCluster]:
    with KafkaCluster() as cluster:
        yield cluster


@pytest.fixture
def kafka_cluster(_shared_cluster: KafkaCluster) -> KafkaCluster:
    """Give a cluster of three brokers, all up: a test may kill them, for the next they are back."""
    return _shared_cluster.start()
