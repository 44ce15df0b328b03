"""The end of a child process, in words."""

from __future__ import annotations

import signal

import pytest

from kafka_bridge.worker.processes.ends import MIB, ProcessEnd


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "exited with code 3 before the handler returned; its peak memory was 1,500 MiB"),
        (-11, "was ended by SIGSEGV (native code has crashed); its peak memory was 1,500 MiB"),
        (-9, "was ended by SIGKILL (by a person, or by the system because memory ran out"),
        (-15, "was ended by SIGTERM; its peak memory"),
        (-(signal.SIGRTMIN + 3), "was ended by signal 37; its peak"),
        (None, "has ended, for a reason that is not known"),
    ],
)
def test_end_is_said_with_what_helps(code: int | None, words: str) -> None:
    """The signal's name, a likely cause, and the memory."""
    assert str(ProcessEnd(code, 1500 * MIB)).startswith(words)
