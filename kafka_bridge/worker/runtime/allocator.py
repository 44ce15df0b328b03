"""Returns large buffers to the operating system when they are freed.

A compressed batch of some hundred bytes may unpack to a megabyte, and a fetch has thousands of
them. At first glibc maps large blocks and unmaps them when they are freed. But after each one it
raises its threshold and takes the next blocks of that size from its heaps, which it hardly shrinks.
So a worker that has read a few such batches would stay large.
"""

from __future__ import annotations

import contextlib
import ctypes

MMAP_BYTES = 256 * 1024
"""Blocks from this size on are mapped, and unmapped when they are freed."""
_M_MMAP_THRESHOLD = -3


def release_large_blocks() -> None:
    """Make the C library unmap large blocks when they are freed; without glibc, do nothing."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES)
