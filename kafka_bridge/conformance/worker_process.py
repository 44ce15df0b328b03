"""A process of the worker under test: started, stopped, killed, frozen."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.protocol.sanitize import block
from kafka_bridge.testing.freezing import freeze

OUTPUT_LINES = 20
OUTPUT_BYTES = 8_000


class WorkerProcess:
    """A command in a session of its own, so that its children are killed and frozen with it.

    :param output: the file to which it writes its output
    :raises ConfigurationError: the command cannot be started
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], output: Path) -> None:
        self._output = output
        try:
            with output.open("wb") as file:
                self._process = subprocess.Popen(
                    command,
                    env=environ,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            raise ConfigurationError(
                f"the worker {command[0]!r} cannot be started: {error}"
            ) from error

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Send SIGTERM to the process that was started, and not to its children."""
        self._process.terminate()

    def wait(self, seconds: float) -> int | None:
        """Return the exit code; None if it still runs after this time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def freeze(self) -> None:
        """Send SIGSTOP to all its processes; return when the one that was started has stopped."""
        self._signal(signal.SIGSTOP)
        freeze(self._process.pid)

    def thaw(self) -> None:
        """Send SIGCONT to all its processes."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL to all its processes, as in a power failure."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self._process.pid, number)

    @property
    def last_lines(self) -> str:
        """The last lines that it wrote, safe to show."""
        with self._output.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - OUTPUT_BYTES))
            text = file.read().decode("utf-8", "replace")
        return block("\n".join(text.splitlines()[-OUTPUT_LINES:]))
