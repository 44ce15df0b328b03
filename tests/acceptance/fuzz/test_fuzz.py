"""Odd records on every topic and odd calls on the callback port, beside honest jobs.

Half a minute of it belongs to every test run. ``make fuzz`` does ten (``FUZZ_SECONDS``,
``FUZZ_SEED``).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from integration.gateway.service import serving
from prometheus_client.parser import text_string_to_metric_families

from acceptance.observers import Statsd
from acceptance.topic_contents import records_of
from kafka_bridge.gateway.callbacks.authentication import CallbackTokens
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.testing import Broker, TopicExists
from kafka_bridge.testing.local_airflow import Component, LocalAirflow
from kafka_bridge.testing.local_airflow.launcher import session_members
from kafka_bridge.testing.ports import free_port

from .attacker import Attacker
from .caller import OddCaller

HERE = Path(__file__).parent
SECONDS = float(os.environ.get("FUZZ_SECONDS", "30"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
HONEST_SECONDS = 300.0
"""How long a run of honest jobs may take on a busy machine; quiet, it takes 15 s."""
ODD_SECONDS = 180.0
"""How long tasks may take whose end cannot be read: their time-outs, and a margin."""
LASTING_SECONDS = 3.0
MOST_GROWTH = 300_000_000
"""Bytes that a process may have grown by: less than a few bombs that are kept would be."""
SECRET = "a secret of the fuzz test's own"
TOPICS = ("requests", "gateway", "odd", "responses", "control", "dead-letters", "callbacks")


@dataclass
class Program:
    """A process that has to live, with its metrics."""

    name: str
    process: subprocess.Popen[bytes]
    metrics_port: int
    sizes: list[int] = field(default_factory=list)

    def check(self) -> None:
        """Fail where it has ended; note its size."""
        assert self.process.poll() is None, f"the {self.name} has ended"
        self.sizes.append(psutil.Process(self.process.pid).memory_info().rss)

    def metric(self, name: str) -> dict[tuple[str, ...], float]:
        """Return a metric's values by the values of its labels."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics", trust_env=False).text
        return {
            tuple(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }


@pytest.fixture(scope="module")
def service_url() -> Iterator[str]:
    """Serve jobs that are called back about."""
    with serving() as service:
        yield service.url


@pytest.fixture(scope="module")
def start(
    jobs_broker: Broker, eventually: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Program]]:
    """Give a function that starts a program of the command line and waits until it is ready."""
    for topic in TOPICS:
        with contextlib.suppress(TopicExists):
            jobs_broker.create_topic(f"fuzz.{topic}", 2)
    started: list[subprocess.Popen[bytes]] = []

    def begin(name: str, *arguments: str) -> Program:
        port, log = free_port(), tmp_path_factory.mktemp("fuzz") / f"{name}.log"
        command = [sys.executable, "-m", "kafka_bridge", name, "run", *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--metrics-port", str(port)],
                env={
                    **os.environ,
                    "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": jobs_broker.bootstrap_servers,
                    "FUZZ_SECRET": SECRET,
                },
                stderr=output,
            )
        started.append(process)
        eventually(lambda: "Ready for jobs" in log.read_text(), f"the {name} is ready")
        return Program(name, process, port)

    yield begin
    for process in started:
        process.terminate()
    for process in started:
        assert process.wait(timeout=60) == 0


@pytest.fixture(scope="module")
def worker(start: Callable[..., Program]) -> Program:
    """Run the honest worker."""
    return start("worker", "fuzz_service:worker", "--app-dir", str(HERE))


@pytest.fixture(scope="module")
def callback_port() -> int:
    """Choose where callbacks come in."""
    return free_port()


@pytest.fixture(scope="module")
def gateway(
    start: Callable[..., Program],
    service_url: str,
    callback_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Program:
    """Run the honest gateway."""
    file = {
        "group_id": "fuzz-gateway",
        "request_topic": "fuzz.gateway",
        "control_topic": "fuzz.control",
        "dead_letter_topic": "fuzz.dead-letters",
        "services": {"slow": {"url": service_url}},
        "callbacks": {
            "public_url": f"http://127.0.0.1:{callback_port}",
            "port": callback_port,
            "secret": {"env": "FUZZ_SECRET"},
            "topic": "fuzz.callbacks",
        },
        "jobs": {"fuzz.called-back": {"service": "slow", "mode": "callback"}},
    }
    path = tmp_path_factory.mktemp("fuzz") / "gateway.yaml"
    path.write_text(yaml.safe_dump(file, sort_keys=False))
    return start("gateway", str(path))


@dataclass
class Triggerer:
    """All processes of Airflow's triggerer."""

    airflow: LocalAirflow
    members: set[int]
    sizes: list[int] = field(default_factory=list)

    def check(self) -> None:
        """Fail where one of them has ended; note the size of all."""
        self.airflow.check()
        session = self.airflow.session(Component.TRIGGERER)
        assert self.members <= set(session_members(session)), "a process of the triggerer has ended"
        self.sizes.append(sum(psutil.Process(each).memory_info().rss for each in self.members))


def _old_members(session: int) -> set[int]:
    """Return the processes of a session that are there to stay; some last for a moment only."""
    old: set[int] = set()
    for pid in session_members(session):
        with contextlib.suppress(psutil.NoSuchProcess):
            if time.time() - psutil.Process(pid).create_time() > LASTING_SECONDS:
                old.add(pid)
    return old


def test_honest_jobs_end_in_time_beside_odd_records(
    airflow: LocalAirflow,
    jobs_broker: Broker,
    worker: Program,
    gateway: Program,
    callback_port: int,
    metrics: Statsd,
    eventually: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No process dies or grows, each honest job succeeds, and what is refused is counted."""
    monkeypatch.setenv("FUZZ_SECRET", SECRET)
    receiver = CallbackConfig.model_validate(
        {"public_url": "http://127.0.0.1", "secret": {"env": "FUZZ_SECRET"}}
    )
    members = _old_members(airflow.session(Component.TRIGGERER))
    living = (worker, gateway, Triggerer(airflow, members))
    durations: list[float] = []
    attacker = Attacker(jobs_broker.bootstrap_servers, SEED)
    caller = OddCaller(callback_port, CallbackTokens(receiver), SEED)
    with attacker.attacking(), caller.calling():
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            odd = airflow.trigger("fuzz_odd")
            while airflow.run_state("fuzz_odd", odd) in {"queued", "running"}:
                began = time.monotonic()
                run = airflow.trigger("fuzz_honest")
                state = airflow.wait_for_run("fuzz_honest", run, HONEST_SECONDS)
                assert state == "success", airflow.run_report("fuzz_honest", run)
                durations.append(time.monotonic() - began)
                assert durations[-1] < HONEST_SECONDS
                for each in living:
                    each.check()
                assert time.monotonic() < until + ODD_SECONDS, "tasks with odd ends go on for ever"
    _report(durations, attacker, caller, living)
    assert attacker.answered > 0
    for each in living:
        growth = each.sizes[-1] - each.sizes[0]
        assert growth < MOST_GROWTH, f"{each} has grown by {growth:,} bytes"
    _check_refusals(jobs_broker, worker, gateway, eventually)
    counted = gateway.metric("kafka_bridge_gateway_callbacks_total")
    assert sum(counted.values()) >= sum(n for status, n in caller.answers.items() if status != 404)
    assert sum(metrics.values("kafka_bridge.reader.undecodable", topic="fuzz.responses")) > 0


def _check_refusals(
    broker: Broker, worker: Program, gateway: Program, eventually: Callable[..., None]
) -> None:
    """Every dead letter that was not published as one is in the metrics."""

    def written() -> int:
        letters = records_of(broker.bootstrap_servers, "fuzz.dead-letters")
        return sum(
            any(name == "kafka_dlt-original-topic" for name, _ in r.headers) for r in letters
        )

    def counted() -> float:
        name = "kafka_bridge_worker_dead_letters_total"
        return sum(sum(each.metric(name).values()) for each in (worker, gateway))

    assert written() > 0
    eventually(lambda: written() == counted(), "each refusal is counted")


def _report(
    durations: list[float],
    attacker: Attacker,
    caller: OddCaller,
    living: tuple[Program | Triggerer, ...],
) -> None:
    by_topic: Counter[str] = Counter()
    for (topic, _), count in attacker.published.items():
        by_topic[topic] += count
    bombs = sum(count for (_, what), count in attacker.published.items() if "bomb" in what)
    print(  # noqa: T201  figures to look at
        f"\n{sum(by_topic.values())} odd records ({dict(by_topic)}), {bombs} bombs, "
        f"{attacker.answered} odd ends, {sum(caller.answers.values())} odd calls "
        f"({dict(caller.answers)}); {len(durations)} honest runs of 9 jobs, "
        f"{min(durations):.1f} to {max(durations):.1f} s; sizes in MB: "
        + "; ".join(
            f"{type(each).__name__} {each.sizes[0] // 10**6} to {max(each.sizes) // 10**6}"
            for each in living
        )
    )
