"""Runs a program with its guard process: see ``guard.py``."""

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
"""Isolated: without site-packages and environment variables."""
GUARD_INHERITS = ("LD_LIBRARY_PATH",)
"""Some installations of Python need it to start."""
STARTING = os.cpu_count() or 1
"""How many programs start at the same time; many more may run."""
PIECE_BYTES = 65_536
END_SECONDS = 10.0
"""How long an output may stay open after all processes have ended: on some systems a daemon can
escape and keep it open."""
REAP_SECONDS = 0.005
"""The pause between two checks for the end of the guard, which follows the end of its socket."""


class NotStarted(Exception):
    """The system did not start a program. ``number`` is the errno."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(os.strerror(number))


class GuardGone(Exception):
    """The guard ended before its program, which was killed then."""


class Program:
    """Runs a program once.

    :param starting: limits how many programs start at the same time. With too many, each start
        takes long and blocks the event loop
    :raises NotStarted: this process has no file descriptors left
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
        """Stop the program and all its processes: SIGTERM now, SIGKILL later.

        It can be called at any time, also repeatedly. :meth:`run` returns when they have ended.
        """
        self._is_stopped = True
        with contextlib.suppress(OSError):  # it has already ended
            self._control.shutdown(socket.SHUT_WR)

    async def run(self, output: Output, errors: Output) -> int:
        """Run the program; return its exit code, or the negative number of a signal that ended it.

        It returns when all processes of the program have ended. Do not cancel this coroutine: call
        :meth:`stop`.

        :param output: receives the standard output
        :param errors: receives the standard error
        :raises NotStarted: the system did not start the program
        :raises GuardGone: the guard was killed or could not start
        """
        given = self._invocation
        with contextlib.closing(self._control):
            async with self._starting:
                guard = self._start_guard()
                answers, order = await asyncio.open_unix_connection(sock=self._control)
                order.write(marshal.dumps((given.arguments, given.environment)))
                await self._read_answer(answers)
            reading = _reading(guard, output, errors)
            while await self._read_answer(answers):
                pass
            order.close()
        if self._group is not None and self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)  # the guard was killed and cannot do it
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
            self._guards_end.close()  # otherwise the end of the guard would not be noticed

    async def _read_answer(self, answers: asyncio.StreamReader) -> bool:
        """Process the next line of the guard; return False after the last one."""
        try:
            line = await answers.readline()
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
    """Give the standard input: a file, which cannot block however large the data are."""
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
    return [asyncio.create_task(_read(pipe, each)) for pipe, each in pairs]


async def _read(pipe: IO[bytes], output: Output) -> None:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    with contextlib.closing(transport):
        while piece := await reader.read(PIECE_BYTES):
            output.write(piece)
            await asyncio.sleep(0)  # read() returns at once while the reader has more
    output.end()


async def _reap(guard: subprocess.Popen[bytes]) -> None:
    """Wait for the end of the guard, which follows the end of its socket."""
    while guard.poll() is None:  # noqa: ASYNC110  there is no event for it
        await asyncio.sleep(REAP_SECONDS)


async def _finish(reading: Sequence[asyncio.Task[None]]) -> None:
    """Read the outputs to their end. On Linux no process is left that could write to them."""
    done, open_still = await asyncio.wait(reading, timeout=END_SECONDS)
    for each in open_still:
        each.cancel()
    for each in done:
        each.result()
