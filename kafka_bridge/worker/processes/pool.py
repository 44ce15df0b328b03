"""The child processes of a worker: as many as jobs may run in them at a time."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.processes.messages import Program
from kafka_bridge.worker.processes.process import DEATH_SECONDS, ChildProcess, NotStarted

_log = logging.getLogger(__name__)

LOAD_SECONDS = 300.0
"""How long a process may take to import the program: it may load large models."""
LOOK_SECONDS = 0.1
START_PAUSES = (0.0, 1.0, 5.0)
"""The pause before each try to start a process for a job."""
QUIT_SECONDS = 5.0
"""How long a process without a job may take to end, as Python does: exit handlers, threads."""
LEAK_SHARE = 0.75
"""A process that holds more than this share of its limit after a job is replaced: else the next job
would fail for the memory of those before."""


class Why(StrEnum):
    """Why a process has ended."""

    DIED = "died"
    KILLED = "killed"
    JOBS = "max_jobs"
    MEMORY = "max_memory"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many processes there are, and when one is replaced.

    :param most_memory: bytes; a job whose process holds more is ended
    """

    processes: int
    most_jobs: int | None = None
    most_memory: int | None = None


class Pool:
    """Gives a process to each job, and replaces processes. Safe to share between threads.

    No more jobs come at a time than there are processes: see ``runtime.slots.ProcessSlots``.

    :ivar ends: how many processes have ended, by reason
    """

    def __init__(self, program: Program, limits: PoolLimits) -> None:
        self.limits = limits
        self.ends: Counter[Why] = Counter()
        self._program = program
        self._lock = threading.Lock()
        self._idle: list[ChildProcess] = []
        self._busy: set[ChildProcess] = set()
        self._leaving: dict[ChildProcess, float] = {}
        self._is_closing = False
        self._closed = threading.Event()

    @property
    def size(self) -> int:
        """How many processes there are."""
        return len(self._idle) + len(self._busy) + len(self._leaving)

    def start(self) -> None:
        """Start all processes; return when the first one has loaded the program.

        :raises ConfigurationError: it cannot be loaded
        """
        threading.Thread(target=self._look_after, name="kafka-bridge-pool", daemon=True).start()
        try:
            for _ in range(self.limits.processes):
                self._idle.append(ChildProcess(self._program))
            self._wait_for(self._idle[0], check=lambda: None)
        except NotStarted as error:
            raise ConfigurationError(f"handlers with process=True cannot run: {error}") from None

    @contextlib.contextmanager
    def process(self, check: Callable[[], None]) -> Iterator[ChildProcess]:
        """Give a process that is ready for a job.

        :param check: called again and again while a process starts; what it raises passes
        :raises NotStarted: no process can be started
        """
        process = self._take(check)
        try:
            process.jobs += 1
            yield process
        finally:
            self._give_back(process)

    def _take(self, check: Callable[[], None]) -> ChildProcess:
        for number, pause in enumerate(START_PAUSES, start=1):
            resume = time.monotonic() + pause
            while time.monotonic() < resume:
                check()
                time.sleep(LOOK_SECONDS)
            try:
                return self._try_to_take(check)
            except NotStarted as error:
                _log.error("Child process %d of %d: %s", number, len(START_PAUSES), error)
                if number == len(START_PAUSES):
                    raise
        raise AssertionError

    def _try_to_take(self, check: Callable[[], None]) -> ChildProcess:
        with self._lock:
            self._bury_dead()
            self._idle.sort(key=lambda each: not each.is_ready)
            process = self._idle.pop(0) if self._idle else ChildProcess(self._program)
            self._busy.add(process)
        try:
            self._wait_for(process, check)
        except BaseException:
            self._give_back(process)
            raise
        return process

    def _wait_for(self, process: ChildProcess, check: Callable[[], None]) -> None:
        give_up = time.monotonic() + LOAD_SECONDS
        while not process.wait_until_ready(LOOK_SECONDS):
            check()
            if time.monotonic() > give_up:
                process.kill()
                raise NotStarted(
                    f"{self._program.module} was not imported within {LOAD_SECONDS:g} s"
                )

    def _give_back(self, process: ChildProcess) -> None:
        """Keep a process for the next job, or replace it."""
        with self._lock:
            self._busy.discard(process)
            why = self._why_replace(process)
            if why is None:
                self._idle.append(process)
            else:
                self._retire(process, why)
                self._replace(process)

    def _why_replace(self, process: ChildProcess) -> Why | None:
        limits = self.limits
        if process.has_ended():
            return Why.KILLED if process.was_killed else Why.DIED
        if self._is_closing:
            return Why.STOPPED
        if limits.most_jobs is not None and process.jobs >= limits.most_jobs:
            return Why.JOBS
        if limits.most_memory and process.memory() > limits.most_memory * LEAK_SHARE:
            return Why.MEMORY
        return None

    def _retire(self, process: ChildProcess, why: Why) -> None:
        self.ends[why] += 1
        if process.end is None:
            process.quit()
            self._leaving[process] = time.monotonic() + QUIT_SECONDS
        else:
            process.close()

    def _replace(self, process: ChildProcess) -> None:
        """Start another process now, before a job needs it; if that fails, when a job needs it."""
        if process.is_ready and not self._is_closing:
            with contextlib.suppress(NotStarted):
                self._idle.append(ChildProcess(self._program))

    # Processes without a job.

    def _look_after(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with self._lock:
                self._bury_dead()

    def _bury_dead(self) -> None:
        for process in [each for each in self._idle if each.has_ended()]:
            self._idle.remove(process)
            _log.warning("Child process %d %s", process.pid, process.end)
            self._retire(process, Why.DIED)
            self._replace(process)
        for process, due in list(self._leaving.items()):
            if time.monotonic() >= due:
                process.kill()
            if process.has_ended():
                del self._leaving[process]
                process.close()

    def close(self, patience: float) -> None:
        """End all processes; kill those that do not end in time.

        :param patience: seconds for the jobs that still run
        """
        with self._lock:
            self._is_closing = True
            while self._idle:
                self._retire(self._idle.pop(), Why.STOPPED)
        _wait_while(lambda: self._busy, patience)
        for process in list(self._busy):
            process.kill()
        _wait_while(lambda: self._leaving, QUIT_SECONDS + DEATH_SECONDS)
        self._closed.set()


def _wait_while(busy: Callable[[], object], seconds: float) -> None:
    give_up = time.monotonic() + seconds
    while busy() and time.monotonic() < give_up:
        time.sleep(LOOK_SECONDS)
