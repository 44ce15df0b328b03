"""Worker programs, run as a deployment runs them, and ended with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integration.jobs import WAIT_SECONDS, request
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.messages import Command, JobCommand, JobRequest, utc_now

HERE = Path(__file__).parent
PROGRAM = "from kafka_bridge.cli import main; main()"
SESSION_MS = 6_000
"""The shortest session time-out that a broker takes as it comes out of the box."""


@dataclass
class Program:
    """One ``kafka-bridge worker run``, or another worker's program, and all that it said so far."""

    process: subprocess.Popen[bytes]
    output: Path
    command: Sequence[str] = ()
    folder: Path = HERE
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """What it has said so far, logs included."""
        return self.output.read_text()

    def until_said(self, words: str) -> None:
        """Wait until it has said something."""
        give_up = time.monotonic() + WAIT_SECONDS
        while words not in self.said:
            assert self.process.poll() is None, f"ended before it said {words!r}:\n{self.said}"
            assert time.monotonic() < give_up, f"never said {words!r}:\n{self.said}"
            time.sleep(0.02)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.terminate()
        return self.process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """End it with no chance to say goodbye."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(WAIT_SECONDS)


@dataclass
class Stage:
    """Topics, a group and a folder for one test, and the workers that it starts on them.

    ``runs`` is what ``kafka-bridge`` is told to run.
    """

    config: KafkaConfig
    producer: RecordProducer
    requests: str
    responses: str
    dead_letters: str
    control: str
    group: str
    folder: Path
    runs: tuple[str, ...] = ("worker", "run", "services:worker")
    programs: list[Program] = field(default_factory=list)

    def start(self, *options: str, ready: bool = True, **environ: str) -> Program:
        """Start a worker; unless told otherwise, return once it has partitions."""
        program = self.run([sys.executable, "-c", PROGRAM, *self.runs, *options], HERE, environ)
        if ready:
            program.until_said("Ready for jobs")
        return program

    def run(self, command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> Program:
        """Start a worker of any kind, in this folder."""
        output = self.folder / f"worker-{len(self.programs)}.log"
        with output.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**self._environ(), **environ},
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        self.programs.append(Program(process, output, command, folder, environ))
        return self.programs[-1]

    def run_again(self, program: Program) -> Program:
        """Start another worker like one that has gone."""
        return self.run(program.command, program.folder, program.environ)

    def _environ(self) -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("KAFKA_BRIDGE")
        }
        return {
            **inherited,
            "KAFKA_BRIDGE_BOOTSTRAP_SERVERS": self.config.bootstrap_servers,
            "KAFKA_BRIDGE_GROUP_ID": self.group,
            "KAFKA_BRIDGE_REQUEST_TOPIC": self.requests,
            "KAFKA_BRIDGE_DEAD_LETTER_TOPIC": self.dead_letters,
            "KAFKA_BRIDGE_CONTROL_TOPIC": self.control,
            "KAFKA_BRIDGE_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_MS),
            "KAFKA_BRIDGE_KAFKA_HEARTBEAT_INTERVAL_MS": "250",
            "NOTES": str(self.notes),
            "GATE": str(self.gate),
            "COLUMNS": "300",
        }

    @property
    def notes(self) -> Path:
        """The file that handlers write to."""
        return self.folder / "notes"

    @property
    def gate(self) -> Path:
        """The file that lets waiting handlers go on."""
        return self.folder / "gate"

    def noted(self, what: str) -> list[str]:
        """Return the ids of the jobs of which handlers wrote this."""
        if not self.notes.exists():
            return []
        lines = [line.split() for line in self.notes.read_text().splitlines()]
        return [job for word, job, _ in lines if word == what]

    def started(self) -> dict[str, list[int]]:
        """Return by job when each start of its handler was, milliseconds since 1970."""
        starts: dict[str, list[int]] = {}
        for line in self.notes.read_text().splitlines():
            word, job, _ = line.split()
            if word.startswith("began-at-"):
                starts.setdefault(job, []).append(int(word.removeprefix("began-at-")))
        return starts

    def request(self, job_type: str, payload: Any = None, **fields: Any) -> JobRequest:
        """Return a request that is to be answered on this stage."""
        return request(job_type, self.responses, payload, **fields)

    def publish(
        self, *jobs: JobRequest, encoding: Encoding = Encoding.AVRO
    ) -> list[RecordLocation]:
        """Publish requests as Airflow does, one right after the other; return where they lie."""
        sent = [
            self.producer.send(
                self.requests,
                job.correlation_id.encode(),
                encode(job, encoding),
                request_headers(job, encoding),
            )
            for job in jobs
        ]
        return [each.result() for each in sent]

    def cancel(self, job: JobRequest, reason: str) -> None:
        """Publish a CANCEL as Airflow does."""
        command = JobCommand(
            correlation_id=job.correlation_id,
            command=Command.CANCEL,
            reason=reason,
            issued_at=utc_now(),
        )
        self.producer.publish(
            self.control, job.correlation_id.encode(), encode(command, Encoding.AVRO), []
        )

    def close(self) -> None:
        """Kill every worker that still runs."""
        for program in self.programs:
            if program.process.poll() is None:
                program.kill()
