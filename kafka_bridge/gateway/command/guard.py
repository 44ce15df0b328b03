"""The process between the gateway and one program; no process of the program outlives either.

It runs as a script for each program, ``guard.py SOCKET KILL_AFTER``, in a session of its own. The
socket is connected to the gateway, which sends what to start. The end of the socket is the order to
stop the program: the socket ends however the gateway dies, by ``kill -9``, too. All processes of
the program then get SIGTERM, and SIGKILL some time later. So do processes that a program leaves
behind when it ends.

The guard answers with the lines ``started PID`` or ``failed ERRNO``, and ``ended STATUS``, negative
for a signal. It exits when all processes have ended.

On Linux it adopts orphaned processes: it finds daemons that have left their group and session, and
no zombie is left in a container whose first process is the gateway. On other systems it reaches the
program's process group only.

It uses little of the standard library, because each import makes every start slower.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # not from `typing`, whose import takes as long as all the rest
if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two SIGKILLs: a process that waits for a dead disk does not die at once."""
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""A service manager may send these to all processes; the gateway decides what to do."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
IGNORED_IN_BACKGROUND = (signal.SIGQUIT,)
"""Programs that a shell starts in the background, such as a gateway, ignore it (and SIGINT)."""
SET_CHILD_SUBREAPER = 36
"""See prctl(2)."""


def guard(control: int, kill_after: float) -> None:
    """Start the program that the socket names; return when all its processes have ended.

    :param control: the file descriptor of the socket
    :param kill_after: seconds between SIGTERM and SIGKILL
    """
    os.set_inheritable(control, False)  # noqa: FBT003  positional only
    for each in IGNORED:
        signal.signal(each, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        program = start(control)
    except OSError as error:
        send(control, f"failed {error.errno}")
    except EOFError:
        return  # the gateway does not need the program any more
    else:
        os.close(0)  # standard input belongs to the program
        Supervisor(control, program, kill_after).run()


def start(control: int) -> int:
    """Start the program in a new process group; return its process id.

    :raises EOFError: the gateway closed the socket
    :raises OSError: the program cannot be started
    """
    with open(control, "rb", closefd=False) as order:
        arguments, environment = marshal.load(order)  # noqa: S302  the gateway wrote it
    os.environb[b"PATH"] = environment.get(
        b"PATH", os.fsencode(os.defpath)
    )  # where the program is searched
    return os.posix_spawnp(
        arguments[0],
        arguments,
        environment,
        setpgroup=0,
        setsigmask=(),
        setsigdef=IGNORED + IGNORED_BY_PYTHON + IGNORED_IN_BACKGROUND,
    )


def send(control: int, line: str) -> None:
    """Send a line to the gateway, if it still runs."""
    try:
        os.write(control, f"{line}\n".encode())
    except OSError:
        pass  # the end of the gateway is noticed in Supervisor


class Supervisor:
    """Waits until a program and all its processes have ended; stops them when told to."""

    def __init__(self, control: int, program: int, kill_after: float) -> None:
        self._control = control
        self._program = program
        self._kill_after = kill_after
        self._steps: Iterator[float] | None = None
        self._due = 0.0
        self._children = wake_up_on(signal.SIGCHLD)
        self._poll = select.poll()  # select() does not accept file descriptors above 1023
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._children, select.POLLIN)

    def run(self) -> None:
        """Return when all processes have ended."""
        send(self._control, f"started {self._program}")
        try:
            while True:
                self._reap()
                self._wait()
        except ChildProcessError:
            return

    def _reap(self) -> None:
        """Collect the processes that have ended.

        :raises ChildProcessError: no process is left
        """
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            if ended[0] == self._program:
                send(self._control, f"ended {os.waitstatus_to_exitcode(ended[1])}")
                self._begin_stop()

    def _wait(self) -> None:
        """Wait until a process ends, the order to stop arrives, or the next step is due."""
        seconds = None if self._steps is None else max(0.0, self._due - time.monotonic())
        for source, _ in self._poll.poll(None if seconds is None else seconds * 1000):
            if source == self._control:
                self._poll.unregister(self._control)
                self._begin_stop()
            else:
                os.read(self._children, 1024)
        if self._steps is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + next(self._steps)

    def _begin_stop(self) -> None:
        if self._steps is None:
            self._steps, self._due = end(self._program, self._kill_after), time.monotonic()


def wake_up_on(number: int) -> int:
    """Return a file descriptor that becomes readable when the signal arrives."""
    readable, writable = os.pipe()
    for each in (readable, writable):
        os.set_blocking(each, False)
    signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


def end(program: int, kill_after: float) -> Iterator[float]:
    """Send SIGTERM once, then SIGKILL again and again; yield the seconds to wait in between."""
    signal_all(program, signal.SIGTERM)
    yield kill_after
    pause = FIRST_PAUSE
    while True:
        signal_all(program, signal.SIGKILL)
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def signal_all(program: int, number: int) -> None:
    """Send a signal to the program's process group, and to processes that have left it."""
    try:
        os.killpg(program, number)
    except OSError:
        pass  # the group is empty
    for pid in strays(program):
        try:
            os.kill(pid, number)
        except OSError:
            continue  # it has ended, or belongs to another user


def strays(group: int) -> list[int]:
    """Return the descendants of this process outside the group; an empty list without /proc."""
    children = children_by_parent()
    found, parents = [], [os.getpid()]
    while parents:
        for pid, its_group in children.get(parents.pop(), ()):
            parents.append(pid)
            if its_group != group:
                found.append(pid)
    return found


def children_by_parent() -> dict[int, list[tuple[int, int]]]:
    """Return the children of each process, with their process groups."""
    children: dict[int, list[tuple[int, int]]] = {}
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                _state, parent, group, *_ = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has just ended
        children.setdefault(int(parent), []).append((pid, int(group)))
    return children


def all_pids() -> list[int]:
    """Return the ids of all processes that /proc shows."""
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except FileNotFoundError:
        return []


if __name__ == "__main__":
    guard(int(sys.argv[1]), float(sys.argv[2]))
    os._exit(0)  # at once: nothing has to be cleaned up
