"""The board as a part of Airflow's API server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI

from kafka_bridge.airflow.board.address import board_path, board_url, is_switched_on, root_path
from kafka_bridge.airflow.board.connection_follower import ConnectionFollower
from kafka_bridge.airflow.board.mount import board_views, request_topics
from kafka_bridge.airflow.board.server import is_stopping
from kafka_bridge.airflow.plugin import API_SERVER, KafkaBridgePlugin
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.monitor.book import JobBook
from kafka_bridge.monitor.reading import MonitoredTopics
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.messages import utc_now
from unit.board.boards import Follower

if TYPE_CHECKING:
    from conftest import Eventually

OPTION = "AIRFLOW__KAFKA_BRIDGE__"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> type[KafkaBridgePlugin]:
    """Give the plugin as an API server loads it."""
    for name in ("listeners", "fastapi_apps", "external_views"):
        monkeypatch.setattr(KafkaBridgePlugin, name, [])
    monkeypatch.setitem(sys.modules, API_SERVER, SimpleNamespace())
    return KafkaBridgePlugin


def test_api_server_has_the_board(plugin: type[KafkaBridgePlugin]) -> None:
    """It is mounted, and has an entry in the navigation and a tab at each task."""
    plugin.on_load()
    (mounted,) = plugin.fastapi_apps
    assert isinstance(mounted["app"], FastAPI)
    assert mounted["url_prefix"] == "/kafka-bridge"
    assert [each["destination"] for each in plugin.external_views] == ["nav", "task_instance"]


@pytest.mark.slow
def test_other_processes_load_nothing_of_the_board() -> None:
    """The scheduler, the triggerer and each task load the plugin, too."""
    code = (
        "import sys\n"
        "from kafka_bridge.airflow.plugin import KafkaBridgePlugin\n"
        "KafkaBridgePlugin.on_load()\n"
        "heavy = ('kafka_bridge.board', 'kafka_bridge.monitor', 'confluent_kafka', 'fastavro')\n"
        "print([each for each in heavy if each in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("option", "value"), [("BOARD", "False"), ("BOARD", "perhaps"), ("BOARD_SINCE", "soon")]
)
def test_listener_works_without_the_board(
    plugin: type[KafkaBridgePlugin], monkeypatch: pytest.MonkeyPatch, option: str, value: str
) -> None:
    """It is switched off, or an option is wrong: the log says which."""
    monkeypatch.setenv(OPTION + option, value)
    plugin.on_load()
    assert (plugin.fastapi_apps, plugin.external_views) == ([], [])
    assert len(plugin.listeners) == 1


@pytest.mark.parametrize(
    ("base", "root", "path", "url"),
    [
        ("https://a.example/team", "/team/", "/team/kafka-bridge/", "https://a.example/team/"),
        ("https://a.example/team/", "/team/", "/team/kafka-bridge/", "https://a.example/team/"),
        ("http://a.example:8080", "/", "/kafka-bridge/", "http://a.example:8080/"),
        ("", "/", "/kafka-bridge/", "/"),
    ],
)
def test_board_is_below_the_path_of_airflow(
    monkeypatch: pytest.MonkeyPatch, base: str, root: str, path: str, url: str
) -> None:
    """A proxy may give Airflow a path."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base)
    assert (root_path(), board_path()) == (root, path)
    assert board_url(job="a b") == f"{url}kafka-bridge/?job=a+b"
    assert all(each["href"].startswith(path) for each in board_views())


@pytest.mark.parametrize(("value", "expected"), [("True", True), ("f", False), (" 1 ", True)])
def test_switch_is_a_truth_value_of_airflow(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    """In the words that Airflow takes."""
    monkeypatch.setenv(f"{OPTION}BOARD", value)
    assert is_switched_on() is expected


def test_switch_that_is_neither_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the option."""
    monkeypatch.setenv(f"{OPTION}BOARD", "no")
    with pytest.raises(ConfigurationError, match="board must be True or False, not 'no'"):
        is_switched_on()


@pytest.mark.parametrize(
    ("value", "expected"),
    [("", ("jobs.requests",)), (" a, b ,,a", ("a", "b"))],
)
def test_board_shows_the_operators_topic_or_those_of_its_option(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: tuple[str, ...]
) -> None:
    """With commas."""
    monkeypatch.setenv(f"{OPTION}BOARD_REQUEST_TOPICS", value)
    assert request_topics() == expected


def test_missing_connection_is_a_problem_and_not_a_failure(eventually: Eventually) -> None:
    """The page says so, and goes on when the connection is there."""
    failures: list[Exception] = [ConfigurationError("there is no connection"), RuntimeError("x")]
    follower, config = Follower(), KafkaConfig({"bootstrap.servers": "127.0.0.1:1"})

    def look_up() -> KafkaConfig:
        if failures:
            raise failures.pop(0)
        return config

    seen: list[str | None] = []
    following = ConnectionFollower(
        noting(look_up, lambda: seen.append(following.statuses()[0].failure)),
        MonitoredTopics(),
        utc_now(),
        JobBook(),
        follow=lambda *_, **__: follower,
        retry_seconds=0.05,
    )
    eventually(lambda: following.statuses() == follower.statuses(), "it follows")
    assert following.wait_until_caught_up(0)
    following.close()
    assert follower.is_closed
    assert seen == [
        "there is no connection",
        "the connection to Kafka cannot be looked up (RuntimeError): the log of Airflow's API "
        "server says why",
    ]


def noting(function: Callable[[], Any], note: Callable[[], None]) -> Callable[[], Any]:
    """Return a function that notes something first, except at its first call."""
    calls: list[None] = []

    def noted() -> Any:
        calls.append(None)
        if len(calls) > 1:
            note()
        return function()

    return noted


def test_server_that_was_told_to_stop_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """So streams end, which the server would wait for. Other handlers of the signal say nothing."""

    class Server:
        should_exit = False

        def handle_exit(self, *_: object) -> None:
            self.should_exit = True

    server = Server()
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.SIG_DFL)
    assert not is_stopping()
    monkeypatch.setattr(signal, "getsignal", lambda _: server.handle_exit)
    assert not is_stopping()
    server.handle_exit()
    assert is_stopping()
