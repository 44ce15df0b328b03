"""Runs one command whose processes do not outlive the process that asked for it.

Started as a script of its own (``python -I -S launcher.py command …``) in a new session, with a
pipe as its standard input. It starts the command, passes SIGTERM on to it, and ends with its exit
status. When the pipe closes, which happens however the parent dies, ``kill -9`` included, it asks
the command to end and then kills whatever is left of the session.

Why not ``PR_SET_PDEATHSIG``: it exists on Linux only, it does not reach grandchildren (the workers
of LocalExecutor would stay for ever), and it fires when the *thread* that started the process ends.

Why sessions and not process groups: Airflow gives each task a process group of its own, but never
a session. Only what calls ``setsid`` itself, such as a daemon that a task starts, escapes.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

POLL_SECONDS = 0.2
ORPHAN_GRACE_SECONDS = 3.0
KILL_SECONDS = 10.0


def all_pids() -> list[int]:
    """Return the ids of all processes that can be seen."""
    proc = Path("/proc")
    if (proc / "self").exists():
        return [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listing.stdout.split()]


def session_members(session: int) -> list[int]:
    """Return the ids of the processes in ``session``; zombies still count."""
    return [pid for pid in all_pids() if _session_of(pid) == session]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def signal_all(pids: Iterable[int], signum: int) -> None:
    """Send ``signum`` to each process that is still there."""
    for pid in pids:
        try:
            os.kill(pid, signum)
        except OSError:
            continue


def kill_session(session: int, *, spare: frozenset[int] = frozenset()) -> None:
    """SIGKILL every process of ``session`` except ``spare``, until no process is found.

    Zombies whose parent has not reaped them cannot be killed, so this gives up quietly after
    ``KILL_SECONDS``.
    """
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        left = [pid for pid in session_members(session) if pid not in spare and not _is_zombie(pid)]
        if not left:
            return
        signal_all(left, signal.SIGKILL)
        time.sleep(0.02)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def run(command: list[str]) -> int:
    """Run ``command`` until it ends or standard input closes; return its exit status."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def pass_on(signum: int, _frame: FrameType | None) -> None:
        child.send_signal(signum)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()
    while child.poll() is None:
        readable, _, _ = select.select([0], [], [], POLL_SECONDS)
        if os.getppid() != parent or (readable and not os.read(0, 1)):
            _end_orphan(child)
    status = child.returncode
    return status if status >= 0 else 128 - status


def _end_orphan(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGCONT)
    child.terminate()
    try:
        child.wait(ORPHAN_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
    kill_session(os.getsid(0), spare=frozenset({os.getpid()}))
    child.wait()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
