"""A small process between a broker and its parent, so that no broker is left behind.

Run as a program: ``python guard.py PARENT_PID LOG_FILE DIRECTORY COMMAND…``. It starts the
command with its output in the log file, prints the command's process id, and ends with its exit
code. Once PARENT_PID is no longer its parent, however that one died, it kills the command and
removes the directory. It also works for a parent with threads and forks, where a pipe would stay
open in a child and the system's own parent-death signal would fire when a thread ends.

It runs without the project on its path: the standard library only.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_INTERVAL = 0.1
"""Seconds between two checks of parent and child."""

_PR_SET_PDEATHSIG = 1


def _die_with_guard() -> None:
    """In the child, on Linux: get killed with the guard. The guard has one thread."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def guard(parent: int, log: Path, directory: Path, command: list[str]) -> int:
    """Run the command until it ends or the parent has ended; return its exit code."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_guard,  # noqa: PLW1509  safe: this process has one thread
        )
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    while child.poll() is None:
        if os.getppid() != parent:
            child.kill()
            child.wait()
            shutil.rmtree(directory, ignore_errors=True)
        else:
            time.sleep(POLL_INTERVAL)
    return child.returncode


if __name__ == "__main__":
    sys.exit(abs(guard(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])))
