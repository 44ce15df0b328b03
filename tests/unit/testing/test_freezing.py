"""A process is frozen when the call returns, not some time later."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from kafka_bridge.testing.freezing import freeze

BUSY = """
import threading
for _ in range(8):
    threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start()
"""


def test_busy_process_with_many_threads_has_stopped() -> None:
    """It uses no processor time any more, whichever of its threads got the signal."""
    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        try:
            freeze(process.pid)
            found = psutil.Process(process.pid)
            assert found.status() == psutil.STATUS_STOPPED
            process.send_signal(signal.SIGCONT)
            assert found.status() != psutil.STATUS_STOPPED
        finally:
            process.kill()


def test_process_that_is_gone_is_an_error() -> None:
    """Nothing is waited for."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(ProcessLookupError):
        freeze(process.pid)
