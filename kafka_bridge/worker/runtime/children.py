"""Children that handlers fork: they end as children, and leave their parent's jobs alone.

A handler may use :mod:`multiprocessing`, or ``os.fork`` itself. What a forked child gets with the
worker's memory must not act in it: it does not report, run other jobs or answer to signals as a
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
    """End a child here that was forked in the block, and that returns or raises as its parent does.

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

    As :mod:`multiprocessing` does it: output is flushed, and what the parent registered to be done
    at its end is not done here.
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
