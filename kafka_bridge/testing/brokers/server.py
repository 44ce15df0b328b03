"""The process of an Apache Kafka broker: started, stopped, killed, paused, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from kafka_bridge.testing.brokers.errors import BrokerError

STOP_TIMEOUT = 20.0
"""Seconds for an orderly stop (0.5 is usual) before the broker is killed."""

LOG_LINES = 15
"""How many of the broker's last log lines an error shows."""

_GUARD = Path(__file__).with_name("guard.py")


class KafkaServer:
    """A Java process under `guard`, which ends it when this Python process has ended.

    `directory` is where it keeps everything; broker.log in there has the output of
    its last launch.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._log = directory / "broker.log"
        self._guard: subprocess.Popen[str] | None = None
        self._pid = 0

    @property
    def pid(self) -> int:
        """Process id of the Java process; raises BrokerError if it does not run."""
        if not self.running or not self._pid:
            raise BrokerError("the broker is not running, so it has no process id")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the process exists; it may be paused."""
        return self._guard is not None and self._guard.poll() is None

    def launch(self, command: list[str]) -> None:
        """Start the command in its own session, so that Ctrl-C in a terminal does not reach it."""
        arguments = [str(os.getpid()), str(self._log), str(self._directory), *command]
        self._pid = 0
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._guard.stdout is not None  # noqa: S101  asked for above
        with self._guard.stdout as said:
            self._pid = int(said.readline() or 0)
        if not self._pid:
            raise BrokerError(f"{command[0]} could not be started")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the Java process; raises BrokerError if it does not run."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL and wait for the end of the process."""
        if self._guard is None or not self.running:
            return
        if self._pid:
            self.send(signal.SIGKILL)
        else:  # interrupted while it was being started: the guard leads its process group
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()

    def stop(self) -> None:
        """Send SIGTERM and wait; send SIGKILL after 20 s."""
        if self._guard is None or not self.running:
            return
        self.send(signal.SIGCONT)  # a frozen process would not hear the next one
        self.send(signal.SIGTERM)
        try:
            self._guard.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def last_lines(self) -> str:
        """Return the last lines that the process has printed since its last start."""
        if not self._log.exists():
            return "(it said nothing)"
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-LOG_LINES:]) or "(it said nothing)"
