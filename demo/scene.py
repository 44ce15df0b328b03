"""Everything that the demo's job needs: a broker, a worker process and Airflow."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.board import Board
from demo.gateway import CALLBACK_TOPIC, GATEWAY_TOPIC, gateway, http_service
from demo.steps import Steps
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.testing import Broker, EmbeddedBroker, TopicExists, find_broker
from kafka_bridge.testing.local_airflow import LocalAirflow
from kafka_bridge.testing.local_airflow.processes import ManagedProcess
from kafka_bridge.testing.ports import free_port

PROJECT = Path(__file__).parents[1]
HOME = PROJECT / ".demo"
AIRFLOW_PORT = 8080
"""Airflow's own default: a browser's tab stays valid from one run to the next, if it is free."""
PARTITIONS = 4
STOP_SECONDS = 5.0


class BrokerChoice(StrEnum):
    """Which broker the demo runs on."""

    EMBEDDED = "embedded"
    KAFKA = "kafka"


class Dag(StrEnum):
    """Which DAG the demo runs."""

    AUDIT_FILES = "audit_files"
    THREE_PATTERNS = "three_patterns"


class Scene:
    """Starts all processes, and stops them at the end."""

    broker: Broker
    airflow: LocalAirflow

    def __init__(self, choice: BrokerChoice, dag: Dag, steps: Steps) -> None:
        self._choice = choice
        self._dag = dag
        self._steps = steps
        self._console = steps.console
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            self.broker = started.enter_context(self._start_broker())
            processes = []
            if self._dag is Dag.THREE_PATTERNS:
                processes = [self._start_worker(started), *self._start_gateway(started)]
            self.airflow = self._start_airflow(started)
            for process in processes:
                process.check()
            self._cleanup = started.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._console.status("Stopping everything …"):
            self._cleanup.close()

    def _say(self, text: str) -> None:
        self._steps.say(text, apart=False)

    def _start_broker(self) -> Broker:
        if self._choice is BrokerChoice.KAFKA:
            with self._console.status("Looking for a real Kafka, or starting one …"):
                broker = find_broker()
            self._say(f"A real Kafka ({broker.kind}) is up at {broker.bootstrap_servers}.")
        else:
            broker = EmbeddedBroker().start()
            address = broker.bootstrap_servers
            self._say(f"A Kafka broker is up at {address} (embedded: nothing to install).")
        for name in (*TopicNames(callbacks=CALLBACK_TOPIC), GATEWAY_TOPIC):
            with contextlib.suppress(TopicExists):
                broker.create_topic(name, PARTITIONS)
        return broker

    def start_worker(self, text: str = "") -> None:
        """Start the example service, which does not depend on Airflow; say so and ``text``."""
        self._start_worker(self._cleanup, text, apart=True)

    def _start_worker(
        self, started: contextlib.ExitStack, text: str = "", *, apart: bool = False
    ) -> ManagedProcess:
        worker = ManagedProcess(
            "worker",
            [sys.executable, "-m", "kafka_bridge", "worker", "run", "file_auditor:worker"],
            env={**os.environ, "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": self.broker.bootstrap_servers},
            cwd=PROJECT / "examples",
            log_path=HOME / "worker.log",
        )
        _start(worker, started)
        self._steps.say(
            "A worker is running: examples/file_auditor.py,\n"
            f"  a program of its own, without Airflow.{text}",
            apart=apart,
        )
        return worker

    def _start_gateway(self, started: contextlib.ExitStack) -> list[ManagedProcess]:
        port = free_port()
        service = http_service(HOME, port)
        between = gateway(HOME, self.broker.bootstrap_servers, port)
        _start(service, started)
        self._say(
            f"A service is running at http://127.0.0.1:{port}: examples/http_service.py,\n"
            "  which uses HTTP only, without Kafka."
        )
        _start(between, started)
        self._say("A gateway is running between the two: examples/gateway.yaml.")
        return [service, between]

    def _start_airflow(self, started: contextlib.ExitStack) -> LocalAirflow:
        extra = {"bootstrap.servers": self.broker.bootstrap_servers}
        first = not (HOME / "airflow").exists()
        pace = "the first time takes a minute" if first else "this takes about half a minute"
        with self._console.status(f"Starting Airflow; {pace} …"):
            airflow = started.enter_context(
                LocalAirflow(
                    HOME / "airflow",
                    PROJECT / "dags",
                    connections={"kafka_default": {"conn_type": "kafka", "extra": extra}},
                    # Not next to the sources: the job counts the files of the installed Airflow.
                    env={"PYTHONPYCACHEPREFIX": str(HOME / "bytecode")},
                    port=AIRFLOW_PORT,
                )
            )
        self._say(
            f"Airflow is up at {airflow.base_url}: API server, scheduler, DAG processor\n"
            f"  and triggerer, with all their files in {(HOME / 'airflow').relative_to(PROJECT)}.",
        )
        return airflow

    def keep(self) -> None:
        """Start the board, and keep everything running until Ctrl-C."""
        board = Board(HOME, self.broker.bootstrap_servers)
        with self._console.status("Starting the board …"):
            _start(board.process, self._cleanup)
            board.wait_until_up()
        self._console.print(
            f"\nAirflow keeps running: [bold]{self.airflow.base_url}/dags/{self._dag.value}[/]\n"
            f"The board shows the jobs: [bold]{board.address}[/]\n"
            f"Kafka is at {self.broker.bootstrap_servers}. "
            "[bold]Ctrl-C[/] stops everything."
        )
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(0.5):
            self.airflow.check()
            board.process.check()


def _start(process: ManagedProcess, started: contextlib.ExitStack) -> None:
    process.start()
    started.callback(process.stop, STOP_SECONDS)
