"""One child process, as the worker sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import replace
from multiprocessing.connection import Connection, Pipe
from multiprocessing.spawn import get_executable, get_preparation_data
from pathlib import Path
from typing import Any

from kafka_bridge.kafka.forks import at_fork
from kafka_bridge.worker.processes.ends import ProcessEnd
from kafka_bridge.worker.processes.messages import NotReady, Program, Quit, Ready

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
DEATH_SECONDS = 5.0
"""How long a killed process may take to end: not at once if it waits for a dead disk."""
LOOK_SECONDS = 0.01

_open: weakref.WeakSet[ChildProcess] = weakref.WeakSet()


class NotStarted(Exception):
    """A child process could not be started, or could not load the program."""


class ChildProcess:
    """A child process and the connection to it.

    The process leads a session of its own: a signal to the worker's process group, such as Ctrl-C
    in a terminal, does not reach it, and with it can be killed what its handlers have started.

    :ivar jobs: how many jobs it was given
    :ivar is_ready: whether it has loaded the program
    :ivar was_killed: whether this worker has killed it
    :ivar end: how it has ended; None while it runs, as far as :meth:`has_ended` has looked
    :raises NotStarted: the system has no process, or no file descriptor, to spare
    """

    def __init__(self, program: Program) -> None:
        self.jobs = 0
        self.is_ready = False
        self.was_killed = False
        self.end: ProcessEnd | None = None
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        try:
            self._connection, self._lifeline, self._process = _start()
        except OSError as error:
            raise NotStarted(
                f"a child process cannot be started: {error.strerror or error}. Raise the limits "
                "of processes, memory and open files (ulimit -a, the limits of the container), or "
                "lower the number of processes"
            ) from error
        _open.add(self)
        preparation = get_preparation_data("kafka-bridge-worker")
        self.send(_parts(preparation, "name", "sys_path", "sys_argv", "orig_dir"))
        main = _parts(preparation, "init_main_from_name", "init_main_from_path")
        self.send(replace(program, main=main) if program.module == "__main__" else program)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Send a message; do nothing if the process has ended. Any thread may call this."""
        with self._sending, contextlib.suppress(OSError):
            self._connection.send(message)

    def receive(self, seconds: float) -> Any:
        """Return the next message; None if there is none in this time, or it has ended."""
        try:
            return self._connection.recv() if self._connection.poll(seconds) else None
        except (EOFError, OSError):
            self.wait(seconds)
            return None

    def wait_until_ready(self, seconds: float) -> bool:
        """Tell whether it has loaded the program; wait so long for that.

        :raises NotStarted: it cannot load it, or has ended
        """
        if not self.is_ready:
            match self.receive(seconds):
                case Ready():
                    self.is_ready = True
                case NotReady(words):
                    self.kill()
                    raise NotStarted(words)
                case None if self.has_ended():
                    raise NotStarted(f"a child process has ended while it started: it {self.end}")
        return self.is_ready

    def has_ended(self) -> bool:
        """Tell whether it has ended; then :attr:`end` says how, and nothing of it is left."""
        with self._lock:
            if self.end is None and (end := _reap(self.pid)) is not None:
                self.end = end
                self._process.returncode = 0 if end.code is None else end.code
                _kill_group(self.pid)  # what its handlers have left behind
            return self.end is not None

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it has ended."""
        give_up = time.monotonic() + seconds
        while not self.has_ended() and time.monotonic() < give_up:
            time.sleep(LOOK_SECONDS)
        return self.end is not None

    def quit(self) -> None:
        """Ask it to end when it has done its job."""
        self.send(Quit())

    def kill(self) -> None:
        """Kill it, with all that its handlers have started, and wait for its end."""
        with self._lock:
            if self.end is None:
                self.was_killed = True
                _kill_group(self.pid)
        self.wait(DEATH_SECONDS)

    def memory(self) -> int:
        """Return how many bytes of memory it holds now; 0 where the system does not say that."""
        try:
            pages = Path(f"/proc/{self.pid}/statm").read_bytes().split()[1]
        except (OSError, IndexError):
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def close(self) -> None:
        """Close the connection: a process that still runs ends."""
        with self._lock, contextlib.suppress(OSError):
            self._connection.close()
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1


def _start() -> tuple[Connection, int, subprocess.Popen[bytes]]:
    with contextlib.ExitStack() as stack:
        ours, its = Pipe()
        stack.callback(its.close)
        on_failure = stack.enter_context(contextlib.ExitStack())
        on_failure.callback(ours.close)
        end, lifeline = os.pipe()
        stack.callback(os.close, end)
        on_failure.callback(os.close, lifeline)
        arguments = [*_python(), str(BOOTSTRAP), str(its.fileno()), str(end)]
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            pass_fds=(its.fileno(), end),
            start_new_session=True,
        )
        on_failure.pop_all()
    return ours, lifeline, process


def _python() -> list[str]:
    """Return the command of the same Python as this one, with its options."""
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    return [os.fsdecode(get_executable() or sys.executable), *flags, "-P"]


def _parts(preparation: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: preparation[name] for name in names if name in preparation}


def _reap(pid: int) -> ProcessEnd | None:
    """Return how a child has ended, None if it runs."""
    try:
        found, status, usage = os.wait4(pid, os.WNOHANG)
    except ChildProcessError:  # other code of this process waits for any child
        return ProcessEnd(None, 0)
    return ProcessEnd.of(status, usage.ru_maxrss) if found else None


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _after_fork() -> None:
    """Close the descriptors in a process that a handler forks: it must not keep a lifeline open."""
    for each in list(_open):
        each._lock = threading.Lock()  # noqa: SLF001  another thread may have held it
        each.close()


at_fork(in_child=_after_fork)
