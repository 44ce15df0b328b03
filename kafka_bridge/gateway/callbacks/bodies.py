"""Reads the body of a callback: with a size limit and as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome, CallbackRefused
from kafka_bridge.gateway.json_text import read_json

READ_SECONDS = 30.0
"""The timeout for a body."""
DISCARD_BYTES = 64 * 1024 * 1024
"""The part of an oversized body that is read and dropped before the body is refused.

Many clients read the answer only after they have sent the whole body. They take a connection that
is closed earlier for a network error, and would send the body again and again.
"""


async def read_body(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Return a body that arrives in chunks.

    :param limit: the maximum size in bytes
    :raises CallbackRefused: the body is larger, or did not arrive in time
    """
    kept, size = bytearray(), 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in chunks:
                size += len(chunk)
                if size > limit + DISCARD_BYTES:
                    break
                if size <= limit:
                    kept += chunk
    except TimeoutError:
        raise CallbackRefused(
            CallbackOutcome.TOO_SLOW, f"the body did not arrive within {READ_SECONDS:g} s"
        ) from None
    if size > limit:
        raise CallbackRefused(
            CallbackOutcome.OVERSIZED,
            f"the body is longer than {limit:,} bytes: send a reference to large data instead",
        )
    return bytes(kept)


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    :raises CallbackRefused: the body is not a JSON object
    """
    try:
        found = read_json(body)
    except ValueError as error:
        raise _malformed(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise _malformed("the body is JSON, but not an object: expected {…}")
    return found


def _malformed(why: str) -> CallbackRefused:
    return CallbackRefused(CallbackOutcome.MALFORMED, why)
