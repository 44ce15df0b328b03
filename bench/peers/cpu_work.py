"""Work that keeps a processor busy, in Python code: the same for all programs.

BENCH_SECONDS says for how long; 0 is a job that does nothing.
"""

from __future__ import annotations

import os
import time

SECONDS_VARIABLE = "BENCH_SECONDS"


def burn() -> float:
    """Use so much processor time; return when that was done, in seconds since 1970."""
    end = time.thread_time() + float(os.environ[SECONDS_VARIABLE])
    while time.thread_time() < end:
        sum(range(1_000))
    return time.time()
