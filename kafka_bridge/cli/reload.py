"""``worker run --reload``: the worker is a process of its own, which starts again on a change."""

from __future__ import annotations

import contextlib
import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from kafka_bridge.protocol.errors import ConfigurationError

_log = logging.getLogger("kafka_bridge.reload")

OPTION = "--reload"
LOOK_MS = 500
"""How often it is looked whether to stop; changes are noticed at once."""


def run_and_reload(folder: Path) -> None:
    """Run this command without ``--reload`` as a process; start it again on each change.

    A worker that is replaced gets SIGTERM, so it finishes or releases its jobs. If it ends by
    itself, because the program cannot be imported for example, the next change starts it again.

    :param folder: whose Python files are watched, those in its folders included
    :raises ConfigurationError: ``watchfiles`` is not installed
    """
    try:
        from watchfiles import PythonFilter, watch  # noqa: PLC0415  an extra
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "--reload needs the module watchfiles, which is not installed: "
            "pip install 'airflow-kafka-bridge[reload]'"
        ) from error
    command = [sys.executable, "-m", "kafka_bridge", *(a for a in sys.argv[1:] if a != OPTION)]
    with _stop_on_signals() as stopping:
        worker = _start(command)
        try:
            for changes in watch(
                folder,
                watch_filter=PythonFilter(),
                stop_event=stopping,
                rust_timeout=LOOK_MS,
                raise_interrupt=False,
            ):
                changed = ", ".join(sorted({Path(path).name for _, path in changes}))
                _log.info("%s changed: the worker starts again", changed)
                _end(worker)
                worker = _start(command)
        finally:
            _end(worker)


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGTERM and SIGINT set."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    before = {each: signal.signal(each, stop) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C in the terminal would reach the worker twice, and end it at once.
    return subprocess.Popen(command, start_new_session=True)


def _end(worker: subprocess.Popen[bytes]) -> None:
    """Have a worker stop, and wait for that: it ends by itself after its grace period."""
    worker.terminate()
    worker.wait()
