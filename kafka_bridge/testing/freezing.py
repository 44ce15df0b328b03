"""Freezes a process, as a suspended machine or a long garbage collection does."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

SECONDS = 30.0
"""How long a process may go on, on a busy machine, before that is an error."""


def freeze(pid: int) -> None:
    """Send SIGSTOP, and return when the process has stopped; SIGCONT lets it go on.

    Linux gives the signal to one of the process's threads. The others run on until that one gets a
    processor, which takes a while if many processes want one. Elsewhere, this does not wait.

    :raises ProcessLookupError: there is no such process
    :raises TimeoutError: it goes on
    """
    os.kill(pid, signal.SIGSTOP)
    give_up = time.monotonic() + SECONDS
    while not _has_stopped(pid):
        if time.monotonic() > give_up:
            raise TimeoutError(f"process {pid} has not stopped {SECONDS:g} s after SIGSTOP")
        time.sleep(0.002)


def _has_stopped(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # no Linux, or the process has ended
        return True
    return stat.rpartition(")")[2].split()[0] in "TtZX"
