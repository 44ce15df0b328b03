"""A program at work, behind its guard: see ``guard.py``."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import marshal
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from kafka_bridge.gateway.command.invocation import Invocation
from kafka_bridge.gateway.command.output import Output

GUARD = (sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py")))
"""Without the site's packages, and whatever the environment says."""
GUARD_INHERITS = ("LD_LIBRARY_PATH",)
"""Some installations of Python do not start without it."""
STARTING = os.cpu_count() or 1
"""How many programs it is good to start at a time; many more may run."""
PIECE_BYTES = 65_536
END_SECONDS = 10.0
"""How long an output may stay open once everything is gone: on some systems a daemon can escape,
and hold it."""
REAP_SECONDS = 0.005
"""The pause between two looks whether the guard has gone: it has closed its socket, so it has."""


class NotStarted(Exception):
    """The system does not start a program. ``number`` is its errno."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number))


class GuardGone(Exception):
    """The guard has ended before its program, which was killed then."""


class Program:
    """Runs a program once.

    :param starting: is held while it is started. Where too many are at a time, the system takes
        long to start each, and the loop waits for that
    :raises NotStarted: this process has no room for another one's files
    """

    def __init__(self, invocation: Invocation, starting: asyncio.Semaphore) -> None:
        self._invocation = invocation
        self._starting = starting
        self._is_stopped = False
        self._group: int | None = None
        self._status: int | None = None
        self._failure: int | None = None
        try:
            self._control, self._guards_end = socket.socketpair()
        except OSError as error:
            raise _not_started(error) from error

    def stop(self) -> None:
        """Have it ended, with all that it has started: SIGTERM now, SIGKILL later.

        May be called at any time, and again. :meth:`run` returns when it is done.
        """
        self._is_stopped = True
        with contextlib.suppress(OSError):  # it has ended already
            self._control.shutdown(socket.SHUT_WR)

    async def run(self, output: Output, errors: Output) -> int:
        """Run it; return its exit code, or less than 0: the number of the signal that ended it.

        That is when everything is gone that the program has started. Do not cancel this: call
        :meth:`stop`.

        :param output: takes what it writes to its standard output
        :param errors: likewise, standard error
        :raises NotStarted: the system does not start it
        :raises GuardGone: its guard was killed, or could not begin
        """
        given = self._invocation
        with contextlib.closing(self._control):
            async with self._starting:
                guard = self._start_guard()
                said, order = await asyncio.open_unix_connection(sock=self._control)
                order.write(marshal.dumps((given.arguments, given.environment)))
                await self._hear(said)
            reading = _reading(guard, output, errors)
            while await self._hear(said):
                pass
            order.close()
        if self._group is not None and self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)  # who killed the guard forgot the program
        await _reap(guard)
        await _finish(reading)
        return self._outcome()

    def _start_guard(self) -> subprocess.Popen[bytes]:
        given, control = self._invocation, self._guards_end.fileno()
        try:
            if self._is_stopped:
                raise NotStarted(errno.ECANCELED)
            with _standard_input(given.stdin) as stdin:
                return subprocess.Popen(
                    [*GUARD, str(control), str(given.kill_after)],
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    env={name: os.environ[name] for name in GUARD_INHERITS if name in os.environ},
                    cwd=given.working_directory,
                    start_new_session=True,
                    pass_fds=(control,),
                )
        except OSError as error:
            raise _not_started(error) from error
        finally:
            self._guards_end.close()  # or the end of it there would not be noticed here

    async def _hear(self, said: asyncio.StreamReader) -> bool:
        """Take in what the guard says next; False where it says no more."""
        try:
            line = await said.readline()
        except ConnectionError:
            return False
        match line.split():
            case [b"started", number]:
                self._group = int(number)
            case [b"failed", number]:
                self._failure = int(number)
            case [b"ended", number]:
                self._status = int(number)
        return bool(line)

    def _outcome(self) -> int:
        if self._failure is not None:
            raise NotStarted(self._failure)
        if self._status is None:
            raise GuardGone
        return self._status


def _not_started(error: OSError) -> NotStarted:
    return NotStarted(error.errno or errno.EIO)


@contextlib.contextmanager
def _standard_input(data: bytes | None) -> Iterator[int | IO[bytes]]:
    """Give what a program reads from: a file, which takes any size at once and cannot block."""
    if data is None:
        yield subprocess.DEVNULL
        return
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file


def _reading(
    guard: subprocess.Popen[bytes], output: Output, errors: Output
) -> list[asyncio.Task[None]]:
    assert guard.stdout is not None  # noqa: S101  both were asked for
    assert guard.stderr is not None  # noqa: S101
    pairs = [(guard.stdout, output), (guard.stderr, errors)]
    return [asyncio.create_task(_read(pipe, taker)) for pipe, taker in pairs]


async def _read(pipe: IO[bytes], output: Output) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    with contextlib.closing(transport):
        while piece := await reader.read(PIECE_BYTES):
            output.take(piece)
    output.end()


async def _reap(guard: subprocess.Popen[bytes]) -> None:
    """Wait for the guard's very end. It has closed its socket, so that is now."""
    while guard.poll() is None:  # noqa: ASYNC110  of that nothing tells
        await asyncio.sleep(REAP_SECONDS)


async def _finish(reading: Sequence[asyncio.Task[None]]) -> None:
    """Read the outputs to their end. Everything is gone that could write to them, on Linux."""
    done, open_still = await asyncio.wait(reading, timeout=END_SECONDS)
    for each in open_still:
        each.cancel()
    for each in done:
        each.result()
