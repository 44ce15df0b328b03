"""One process of Airflow with all its descendants: start, stop, kill, freeze, read its log."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kafka_bridge.testing.freezing import freeze
from kafka_bridge.testing.local_airflow import launcher
from kafka_bridge.testing.local_airflow.errors import ComponentFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

TAIL_LINES = 30
TAIL_BYTES = 64 * 1024


class ManagedProcess:
    """A command that runs in a session of its own and dies with this process.

    Its output is appended to ``log_path``. See :mod:`~kafka_bridge.testing.local_airflow.launcher`
    for how the descendants are kept together.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log_path: Path,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self.started_at = 0.0
        """When it was last started, in seconds since the epoch."""
        self._command = list(command)
        self._env = dict(env)
        self._cwd = cwd
        self._log_start = 0
        self._asked_to_stop = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command; raises :class:`ComponentFailed` if it is running already."""
        if self.is_running():
            raise ComponentFailed(f"{self.name} is running already")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        script = [sys.executable, "-I", "-S", str(Path(launcher.__file__)), *self._command]
        with self.log_path.open("ab") as output:
            self._log_start = output.tell()
            self.started_at = time.time()
            self._asked_to_stop = False
            self._process = subprocess.Popen(
                script,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )

    @property
    def session(self) -> int | None:
        """The id of the session that all its processes belong to; None if not started."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        """Whether the command was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds for the command to end by itself; return its status.

        Raises :class:`ComponentFailed` if it was not started, or has not ended by then; it is
        killed.
        """
        if self._process is None:
            raise ComponentFailed(f"{self.name} is not running")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self.failure(f"did not end within {timeout:g} s") from None

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the main process, thawing it if it is frozen; does not wait.

        Only once: Airflow takes a second one for "at once, without cleaning up".
        """
        if self._process is not None and self.is_running() and not self._asked_to_stop:
            self._asked_to_stop = True
            self.resume()
            self._process.terminate()

    def stop(self, grace: float) -> None:
        """Stop it: SIGTERM, up to ``grace`` seconds, then SIGKILL to everything that is left."""
        self.ask_to_stop()
        if self._process is not None:
            try:
                self._process.wait(max(grace, 0))
            except subprocess.TimeoutExpired:
                log.info("%s did not end by itself: it is killed", self.name)
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to every process of the session, as in a power failure."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        launcher.kill_session(self._process.pid)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None

    def pause(self) -> None:
        """Freeze all processes except the launcher, which must be able to clean up."""
        for pid in self._descendants():
            with contextlib.suppress(ProcessLookupError):
                freeze(pid)

    def resume(self) -> None:
        """Send SIGCONT to all processes; it does not affect those that are not frozen."""
        launcher.signal_all(self._descendants(), signal.SIGCONT)

    def _descendants(self) -> list[int]:
        if self._process is None:
            return []
        members = launcher.session_members(self._process.pid)
        return [pid for pid in members if pid != self._process.pid]

    def check(self) -> None:
        """Raise :class:`ComponentFailed` if it has ended without being stopped."""
        if self._process is not None and self._process.poll() is not None:
            raise self.failure(f"ended by itself with status {self._process.returncode}")

    def failure(self, what: str) -> ComponentFailed:
        """Return an error with ``what`` happened and the end of the log."""
        return ComponentFailed(f"{self.name} {what}. The end of {self.log_path}:\n{self.tail()}")

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last ``lines`` lines that it wrote since it was last started."""
        if not self.log_path.exists():
            return "(no log)"
        with self.log_path.open("rb") as output:
            size = output.seek(0, os.SEEK_END)
            output.seek(max(self._log_start, size - TAIL_BYTES))
            text = output.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:]) or "(empty)"
