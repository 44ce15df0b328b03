"""What is tested: a command that starts the worker, or a worker that runs already."""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from kafka_bridge.conformance import job_types
from kafka_bridge.conformance.notes import Notes
from kafka_bridge.conformance.patience import Patience
from kafka_bridge.conformance.setup import Setup
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.target_facts import GRACE_SECONDS, SLOTS
from kafka_bridge.conformance.topics import fresh_name, fresh_topics
from kafka_bridge.conformance.worker_process import WorkerProcess
from kafka_bridge.kafka.admin.topics import TopicNames
from kafka_bridge.kafka.config import ENV_BOOTSTRAP, ENV_PREFIX, READER_PREFIX, KafkaConfig
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.testing.brokers.base import Broker

_OWN = "KAFKA_BRIDGE_"


@dataclass(frozen=True, slots=True)
class StartedWorker:
    """A worker that the kit starts, with its topics and its group in variables.

    :ivar command: the program and its arguments
    """

    command: tuple[str, ...]
    is_started: ClassVar = True

    @classmethod
    def of(cls, text: str) -> StartedWorker:
        """Return the worker of a command line, which is split as a shell does, and run without one.

        :raises ConfigurationError: there is no command in it
        """
        try:
            command = tuple(shlex.split(text))
        except ValueError as error:
            raise ConfigurationError(f"--command cannot be split: {error}") from error
        if not command:
            raise ConfigurationError("--command is empty: write how the worker is started")
        return cls(command)

    @contextmanager
    def stage(
        self, config: KafkaConfig, broker: Broker | None, encoding: Encoding, patience: Patience
    ) -> Iterator[Stage]:
        """Give a stage with topics, a group and a folder of its own; no worker runs yet."""
        with (
            tempfile.TemporaryDirectory(prefix="kafka-bridge-conformance-") as folder,
            fresh_topics(config) as names,
        ):
            setup = Setup(config, names, fresh_name(), encoding, patience, broker)
            notes = Path(folder) / "notes"
            count = iter(range(1_000_000))

            def start(environ: Mapping[str, str]) -> WorkerProcess:
                output = Path(folder) / f"worker-{next(count)}.log"
                return WorkerProcess(self.command, {**variables(setup, notes), **environ}, output)

            with Stage(setup, Notes(notes), start) as stage:
                yield stage


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A worker that runs already.

    :ivar names: the topics that it uses
    :ivar group: its consumer group
    """

    names: TopicNames
    group: str
    is_started: ClassVar = False

    @contextmanager
    def stage(
        self, config: KafkaConfig, broker: Broker | None, encoding: Encoding, patience: Patience
    ) -> Iterator[Stage]:
        """Give a stage on the worker's own topics."""
        setup = Setup(config, self.names, self.group, encoding, patience, broker)
        with Stage(setup, Notes(None), None) as stage:
            yield stage


def variables(setup: Setup, notes: Path) -> dict[str, str]:
    """Return the environment of a worker: the kit's own, with what the worker has to know."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    properties = {
        f"{ENV_PREFIX}{name.replace('.', '_').upper()}": str(value)
        for name, value in setup.config.settings.items()
        if name not in ("bootstrap.servers", READER_PREFIX)
    }
    session = int(setup.patience.session * 1000)
    return {
        **inherited,
        **properties,
        ENV_BOOTSTRAP: setup.config.bootstrap_servers,
        "KAFKA_BRIDGE_GROUP_ID": setup.group,
        "KAFKA_BRIDGE_REQUEST_TOPIC": setup.names.requests,
        "KAFKA_BRIDGE_RESPONSE_TOPIC": setup.names.responses,
        "KAFKA_BRIDGE_CONTROL_TOPIC": setup.names.control,
        "KAFKA_BRIDGE_DEAD_LETTER_TOPIC": setup.names.dead_letters,
        "KAFKA_BRIDGE_CONCURRENCY": str(SLOTS),
        "KAFKA_BRIDGE_GRACE_SECONDS": f"{GRACE_SECONDS:g}",
        f"{ENV_PREFIX}SESSION_TIMEOUT_MS": str(session),
        f"{ENV_PREFIX}HEARTBEAT_INTERVAL_MS": str(session // 6),
        job_types.NOTES: str(notes),
        job_types.ENCODING: setup.encoding.value,
    }
