"""Fixtures that all tests share: real Kafka brokers, and topics that only one test uses.

A test with the fixture `real_broker`, `topics`, `private_broker`, `secured_kafka`, `kafka_cluster`
or `kafka_jars` gets the mark `real_kafka`. If there is no real broker, the test is skipped with the
reason. In CI it fails instead, so that CI is never green without a real Kafka.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import shutil
import sys
import tempfile
import time
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

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

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from xdist.remote import Producer
    from xdist.scheduler import Scheduling

    from kafka_bridge.testing import Broker

# Airflow creates the folders of its home when it is imported, here and in the tests' subprocesses.
if "airflow" not in sys.modules:
    _airflow_home = tempfile.TemporaryDirectory(prefix="airflow-home-")  # removed after the session
    os.environ["AIRFLOW_HOME"] = _airflow_home.name

# On a busy machine an example may take long. The timeout of pytest ends a test that hangs.
settings.register_profile("any-machine", deadline=None)
settings.register_profile("everyday", deadline=None, max_examples=20)
settings.load_profile("any-machine")

PATIENCE_SECONDS = 240.0
"""How long a test waits for what must happen: long, because a busy machine is no fault."""
REAL_BROKER_FIXTURES = {"real_broker", "private_broker", "kafka_jars"}
UNIT_FOLDERS = [Path(__file__).parent / name for name in ("unit", "contract")]
AIRFLOW_TESTS = "tests/acceptance/"
NOT_UNIT = ("real_kafka", "long", "slow")


class TopicFactory(Protocol):
    """The type of the fixture `topics`."""

    def __call__(
        self,
        prefix: str = "topic",
        partitions: int | None = None,
        config: Mapping[str, str] | None = None,
    ) -> str:
        """Create a topic with a unique name, and return that name."""


class Eventually(Protocol):
    """The type of the fixture `eventually`."""

    def __call__(
        self, condition: Callable[[], object], what: str, timeout: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until `condition()` is true; fail with `what` after `timeout` seconds."""


@pytest.fixture(autouse=True)
def _log_lines_are_not_left_out() -> None:
    """Let each test see all its log lines: the tests before it may have used up the budget."""
    for name in list(logging.root.manager.loggerDict):
        for each in logging.getLogger(name).filters:
            if isinstance(each, LineBudget):
                each.forget()


def _unique_name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def _eventually(
    condition: Callable[[], object], what: str, timeout: float = PATIENCE_SECONDS
) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {what}")
        time.sleep(0.05)


def in_ci() -> bool:
    """Return whether this is CI, where every program that the tests need must be installed."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test; in CI, fail it."""
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextlib.contextmanager
def airflow_database() -> Iterator[str | None]:
    """Give the URL of a new Postgres for Airflow, or None for SQLite. CI needs a Postgres."""
    # Here, because it loads packages of Airflow: the tests in a browser run without them.
    from kafka_bridge.testing.local_airflow import PostgresMissing, postgres

    with contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(postgres())
        except PostgresMissing as missing:
            if in_ci():
                pytest.fail(f"CI runs Airflow on Postgres: {missing}", pytrace=False)
            warnings.warn(f"no Postgres, so Airflow runs on SQLite: {missing}", stacklevel=1)
            url = None
        yield url


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector, which would take a third of the time.

    What is imported and collected lives until the end, so the collector need not look at it later.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of a real broker with `real_kafka`, and those that need nothing with `unit`."""
    for item in items:
        if REAL_BROKER_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real_kafka)
        if _is_in_unit_folder(item.path) and not any(
            item.get_closest_marker(name) for name in NOT_UNIT
        ):
            item.add_marker(pytest.mark.unit)


@functools.cache
def _is_in_unit_folder(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in UNIT_FOLDERS)


class _TestsOfOneAirflow(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """`--dist loadfile`, and the tests that share an Airflow count as one file."""

    def _split_scope(self, nodeid: str) -> str:
        return AIRFLOW_TESTS if nodeid.startswith(AIRFLOW_TESTS) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)  # pytest also runs without xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling | None:
    """Give `--dist loadfile` its scheduler."""
    return _TestsOfOneAirflow(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape captured characters that UTF-8 cannot encode: reports may go to another process."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def unique_name() -> Callable[[str], str]:
    """Give a function that makes unique names from a prefix, also unique across runs."""
    return _unique_name


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """Give a function that waits until a condition is true, and otherwise fails the test."""
    return _eventually


@pytest.fixture(scope="session")
def real_broker() -> Iterator[Broker]:
    """Share one real Kafka in the session: use `topics` and `unique_name`, never stop it."""
    try:
        broker = find_broker()
    except NoBrokerFound as error:
        skip_or_fail(str(error))
    with broker:
        yield broker


@pytest.fixture
def topics(real_broker: Broker) -> Iterator[TopicFactory]:
    """Create topics on the real broker; they are deleted after the test."""
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
    """Check that this machine can start an `ApacheKafka`: it needs a JDK and Kafka's jars."""
    try:
        jars.java_command()
        jars.kafka_jars()
    except BrokerUnavailable as error:
        skip_or_fail(str(error))


@pytest.fixture
def private_broker(kafka_jars: None) -> Iterator[ApacheKafka]:
    """Give one test its own real Kafka, which it may kill, stop and pause."""
    with ApacheKafka() as broker:
        yield broker


@pytest.fixture(scope="session")
def secured_kafka(kafka_jars: None) -> Iterator[SecuredKafka]:
    """Share one secured Kafka in the session; each test creates its own users and topics."""
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
    """Give a cluster of three running brokers. A test may kill them; the next one restarts them."""
    return _shared_cluster.start()
