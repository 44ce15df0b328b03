"""The first code of a child process: ``python bootstrap.py SOCKET LIFELINE``.

Whatever ends the worker, its child processes must end, too, and all that their handlers have
started. The lifeline is a pipe that only the worker has open for writing, so the worker's end is
the pipe's end. On Linux the system itself then kills the whole session of this child: no code of it
has to run, so that works while a handler hangs in native code. Elsewhere a thread of the child
notices the end of the socket (``child.py``).

Only the standard library is imported here: the worker tells first where everything else is.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
from multiprocessing.connection import Connection
from multiprocessing.spawn import prepare


def main() -> None:
    """Become a child process of a worker."""
    connection, lifeline = Connection(int(sys.argv[1])), int(sys.argv[2])
    for each in (connection.fileno(), lifeline):
        os.set_inheritable(each, False)  # noqa: FBT003  positional only
    hold(lifeline)
    try:
        prepare(connection.recv())
    except EOFError:
        return

    from kafka_bridge.worker.processes.child import run  # noqa: PLC0415  it is found only now

    run(connection)


def hold(lifeline: int) -> None:
    """Have this process group killed when the other end of the pipe is closed."""
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:  # it was closed before that
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
