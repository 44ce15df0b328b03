"""SIGTERM and SIGINT: they stop a worker; its child processes handle them as usual."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeAlias

from kafka_bridge.kafka.forks import at_fork
from kafka_bridge.worker.runtime.forced_exit import STOPPING_SECONDS, LastResort

_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None

_replaced: dict[signal.Signals, tuple[_Handler, _Handler]] = {}
"""While a worker runs: for each signal its own handler, and the one that it replaced."""

_masks: dict[int, set[int]] = {}
"""For each thread that is about to fork: the signals that it blocked before."""


@contextlib.contextmanager
def stop_on_signals(stopping: threading.Event, grace: float) -> Iterator[None]:
    """Set the event on the first SIGTERM or SIGINT, and end the process on the second.

    After the first one, the process ends in time, if necessary by force (see ``forced_exit``). A
    forked child has the handlers from before. Only the main thread can have signal handlers; on
    another thread, the block does nothing.

    :param grace: seconds that the worker gives its jobs to finish
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner, last_resort = os.getpid(), LastResort()

    def stop(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:  # a child that has not reached _after_fork() yet
            _restore()
            os.kill(os.getpid(), number)
            return
        if stopping.is_set():
            os._exit(128 + number)
        stopping.set()
        last_resort.begin(grace + STOPPING_SECONDS)

    for each in (signal.SIGTERM, signal.SIGINT):
        _replaced[each] = (stop, signal.signal(each, stop))
    try:
        yield
        last_resort.exit_code = 0
    except BaseException:
        last_resort.begin(math.inf)  # the program may go on; where it ends, it ends
        raise
    finally:
        _restore()
        last_resort.call_off()


def leave_signals_to_parent() -> None:
    """Have this process ignore SIGTERM and SIGINT: its parent decides when it ends.

    Programs and forked children that it starts handle both as usual. Call it on the main thread.
    """
    owner = os.getpid()

    def ignore(number: int, _: FrameType | None) -> None:
        if os.getpid() != owner:  # a child that has not reached _after_fork() yet
            _restore()
            os.kill(os.getpid(), number)

    for each in (signal.SIGTERM, signal.SIGINT):
        _replaced[each] = (ignore, signal.signal(each, ignore))


def _restore() -> None:
    for number, (own, replaced) in _replaced.items():
        if signal.getsignal(number) is own:
            signal.signal(number, signal.SIG_DFL if replaced is None else replaced)
    _replaced.clear()


def _hold_back() -> None:
    """Block signals to a child until it has its own handlers.

    Python drops earlier ones if it has a handler for them: a child that is terminated right after
    its start would go on running.
    """
    waiting = [each for each, (_, replaced) in _replaced.items() if not callable(replaced)]
    if waiting:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, waiting)
        _masks[threading.get_ident()] = before


def _let_through() -> None:
    before = _masks.pop(threading.get_ident(), None)
    if before is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _after_fork() -> None:
    _restore()
    _let_through()
    _masks.clear()


at_fork(before=_hold_back, in_parent=_let_through, in_child=_after_fork)
