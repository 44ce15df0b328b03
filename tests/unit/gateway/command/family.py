"""A program and processes of it that ignore SIGTERM; each writes its id to a file.

Run as ``python -I -S family.py FOLDER``: a child and a grandchild, a child with a process group of
its own, and a daemon with a session of its own.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import NoReturn

MEMBERS = ("program", "child", "grandchild", "apart", "daemon")


def live(name: str) -> NoReturn:
    """Write the id, and never end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(f"{sys.argv[1]}/{name}", "w") as file:  # noqa: PTH123  it imports as little as it can
        file.write(str(os.getpid()))
    while True:
        time.sleep(100)


if __name__ == "__main__":
    if os.fork() == 0:
        live("grandchild" if os.fork() == 0 else "child")
    if os.fork() == 0:
        os.setpgid(0, 0)
        live("apart")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            live("daemon")
        os._exit(0)
    live("program")
