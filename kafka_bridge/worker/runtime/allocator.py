"""Large buffers go back to the operating system when they are freed.

A compressed batch of some hundred bytes may unpack to a megabyte, and a fetch has thousands of
them. glibc maps large blocks at first, and gives them back; but it learns from each that is freed
to take the next ones of that size from its heaps, of which it gives back little. So a worker that
read a few such batches would stay large for the rest of its life.
"""

from __future__ import annotations

import contextlib
import ctypes

MMAP_BYTES = 256 * 1024
"""Blocks from this size on are mapped, and given back as they are freed."""
_M_MMAP_THRESHOLD = -3


def release_large_blocks() -> None:
    """Have the C library give freed large blocks back; does nothing where it is not glibc."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES)
