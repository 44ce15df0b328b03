"""Stands between the gateway and one program, so that nothing of the program outlives either.

Run as a script for each program, ``guard.py SOCKET KILL_AFTER``, in a session of its own. The
socket leads to the gateway. What to start comes over it, and after that nothing but its end, which
is the order to end the program: however the gateway dies, ``kill -9`` included, the socket ends.
Then all that the program has started gets SIGTERM, and a while later SIGKILL. So does what a
program leaves behind that ends by itself.

The guard answers in lines: ``started PID`` or ``failed ERRNO``; ``ended STATUS``, negative for a
signal. It exits once everything is gone.

On Linux it takes in whatever has lost its parent: daemons that left their group and session are
found, and no zombie is left in a container whose first process is the gateway. Elsewhere the
program's process group is as far as it can reach.

The standard library only, and little of that: each import makes every start longer.
"""

from __future__ import annotations

import ctypes
import marshal
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # as type checkers have it: `typing` takes as long to import as all the rest
if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two SIGKILLs: most die at once, but one that waits for a dead disk does not."""
IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""A service manager may send these to all processes of the gateway; the gateway decides."""
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
IGNORED_IN_BACKGROUND = (signal.SIGQUIT,)
"""A shell has what it starts in the background ignore this (and SIGINT): a gateway, for example."""
SET_CHILD_SUBREAPER = 36
"""Of prctl(2)."""


def guard(control: int, kill_after: float) -> None:
    """Start what comes over the socket, and return once all of it is gone.

    :param control: the socket's number
    :param kill_after: seconds between SIGTERM and SIGKILL
    """
    os.set_inheritable(control, False)  # noqa: FBT003  it has no name
    for each in IGNORED:
        signal.signal(each, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        program = start(control)
    except OSError as error:
        tell(control, f"failed {error.errno}")
    except EOFError:
        return  # the gateway has thought better of it
    else:
        os.close(0)  # the program's alone
        Watch(control, program, kill_after).keep()


def start(control: int) -> int:
    """Start the program at the head of a process group; return its id.

    :raises EOFError: the gateway does not say what to start
    :raises OSError: it cannot be started
    """
    with open(control, "rb", closefd=False) as order:
        arguments, environment = marshal.load(order)  # noqa: S302  the gateway wrote it
    os.environb[b"PATH"] = environment.get(b"PATH", os.fsencode(os.defpath))  # to look it up in
    return os.posix_spawnp(
        arguments[0],
        arguments,
        environment,
        setpgroup=0,
        setsigmask=(),
        setsigdef=IGNORED + IGNORED_BY_PYTHON + IGNORED_IN_BACKGROUND,
    )


def tell(control: int, line: str) -> None:
    """Say something to the gateway, if it is still there."""
    try:
        os.write(control, f"{line}\n".encode())
    except OSError:
        pass  # that it is gone is noticed where its orders are waited for


class Watch:
    """Sees to it that a program and all that comes of it end, in their own time or when told to."""

    def __init__(self, control: int, program: int, kill_after: float) -> None:
        self._control = control
        self._program = program
        self._kill_after = kill_after
        self._steps: Iterator[float] | None = None
        self._due = 0.0
        self._children = wake_up_on(signal.SIGCHLD)
        self._poll = select.poll()  # select() takes no number above 1023
        self._poll.register(control, select.POLLIN)
        self._poll.register(self._children, select.POLLIN)

    def keep(self) -> None:
        """Return once everything is gone."""
        tell(self._control, f"started {self._program}")
        try:
            while True:
                self._reap()
                self._wait()
        except ChildProcessError:
            return

    def _reap(self) -> None:
        """Take note of what has ended.

        :raises ChildProcessError: nothing is left
        """
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            if ended[0] == self._program:
                tell(self._control, f"ended {os.waitstatus_to_exitcode(ended[1])}")
                self._begin_to_end()

    def _wait(self) -> None:
        """Wait until something has ended, the order to end comes, or the next step is due."""
        seconds = None if self._steps is None else max(0.0, self._due - time.monotonic())
        for source, _ in self._poll.poll(None if seconds is None else seconds * 1000):
            if source == self._control:
                self._poll.unregister(self._control)
                self._begin_to_end()
            else:
                os.read(self._children, 1024)
        if self._steps is not None and time.monotonic() >= self._due:
            self._due = time.monotonic() + next(self._steps)

    def _begin_to_end(self) -> None:
        if self._steps is None:
            self._steps, self._due = end(self._program, self._kill_after), time.monotonic()


def wake_up_on(number: int) -> int:
    """Return what can be read from when the signal has come."""
    readable, writable = os.pipe()
    for each in (readable, writable):
        os.set_blocking(each, False)
    signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


def end(program: int, kill_after: float) -> Iterator[float]:
    """Send SIGTERM once, and then SIGKILL for ever; yield the seconds that may pass in between."""
    signal_all(program, signal.SIGTERM)
    yield kill_after
    pause = FIRST_PAUSE
    while True:
        signal_all(program, signal.SIGKILL)
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)


def signal_all(program: int, number: int) -> None:
    """Send a signal to the program's group, at one stroke, and to those that have left it."""
    try:
        os.killpg(program, number)
    except OSError:
        pass  # nobody is left in it
    for pid in strays(program):
        try:
            os.kill(pid, number)
        except OSError:
            continue  # gone, or somebody else's


def strays(group: int) -> list[int]:
    """Return this process's descendants that are not in the group; none where /proc is missing."""
    children = children_by_parent()
    found, parents = [], [os.getpid()]
    while parents:
        for pid, its_group in children.get(parents.pop(), ()):
            parents.append(pid)
            if its_group != group:
                found.append(pid)
    return found


def children_by_parent() -> dict[int, list[tuple[int, int]]]:
    """Return for each process that has some its children, with their process groups."""
    children: dict[int, list[tuple[int, int]]] = {}
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                _state, parent, group, *_ = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has just gone
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
    os._exit(0)  # at once: there is nothing to tidy up
