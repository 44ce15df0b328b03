"""Keep Kafka clients unused in forked child processes.

A child of ``os.fork`` (the default of :mod:`multiprocessing` on Linux before Python 3.14) has all
the memory of its parent, and of the threads only the one that forked. A Kafka client in it has
lost the threads that do its work and may have locks that nobody releases: to use it, or only to
destroy it, can block for ever. So no client is destroyed in a child, and what the bridge made
before the fork asks :func:`generation` whether it is in the process that made it.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Callable

_clients: weakref.WeakSet[object] = weakref.WeakSet()
_generation = 0


def at_fork(
    *,
    before: Callable[[], None] = lambda: None,
    in_parent: Callable[[], None] = lambda: None,
    in_child: Callable[[], None],
) -> None:
    """Have functions called around every fork of this process, where the system has forks."""
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=in_child)


def generation() -> int:
    """Return how many forks lie between the first process of the program and this one."""
    return _generation


def keep_in_children(client: object) -> None:
    """Have a Kafka client outlive its last reference in every child that is forked from here."""
    _clients.add(client)


def _after_fork() -> None:
    global _generation  # noqa: PLW0603  it is the process's
    _generation += 1
    for client in list(_clients):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))  # a reference that is never released


at_fork(in_child=_after_fork)
