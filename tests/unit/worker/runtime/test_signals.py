"""What SIGTERM does to a program with a worker in it, and when that is ended by force."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, threading, time
from concurrent.futures import ThreadPoolExecutor
from kafka_bridge.worker.runtime import forced_exit
from kafka_bridge.worker.runtime import signals

forced_exit.EXIT_SECONDS, signals.STOPPING_SECONDS = 1.0, {stopping}
stopping = threading.Event()
with signals.stop_on_signals(stopping, grace=0.0):
    ThreadPoolExecutor(1, "of-a-handler").submit(time.sleep, 60)
    print("ready", flush=True)
    stopping.wait()
    time.sleep({stops_in})
time.sleep(2)
print("cleaned up", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stops_in", "stopping", "said", "code"),
    [
        (0, 60.0, "cleaned up\n", 0),
        (60, 1.0, "", 1),
    ],
    ids=["left behind at its exit", "never stops"],
)
def test_process_ends_and_its_own_clean_up_is_not_cut_short(
    stops_in: int, stopping: float, said: str, code: int
) -> None:
    """At the program's exit nothing is waited for; before that, its own code may take its time.

    A worker that does not stop at all is ended, with the exit code of a failure.
    """
    program = PROGRAM.format(stops_in=stops_in, stopping=stopping)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=40)
    assert (out, process.returncode) == (said, code)
    assert "Ending it by force; still running: of-a-handler_0 (thread)" in err
