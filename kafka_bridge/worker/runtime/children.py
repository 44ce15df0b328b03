"""Child processes that handlers fork: they end as children, and do not touch their parent's jobs.

A handler may use :mod:`multiprocessing` or ``os.fork``. The child has a copy of the worker's
memory, but must not act as the worker: it does not report, run other jobs or handle signals as a
worker does (:mod:`~kafka_bridge.worker.runtime.signals`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

from kafka_bridge.kafka.forks import generation


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """End a child process that was forked in the block when it leaves the block.

    For a block that calls a handler.
    """
    before = generation()
    try:
        yield
    except BaseException as error:
        if generation() != before:
            _end(error)
        raise
    if generation() != before:
        _end(None)


def _end(error: BaseException | None) -> NoReturn:
    """End this process with the exit code that an uncaught exception gives.

    As :mod:`multiprocessing` does: output is flushed, and exit handlers of the parent do not run.
    """
    code = 1
    try:
        code = _exit_code(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        traceback.print_exception(error)
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    print(error.code, file=sys.stderr)  # noqa: T201  as Python does
    return 1
