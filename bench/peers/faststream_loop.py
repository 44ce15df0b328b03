"""FastStream's consume and produce, as in its documentation: a subscriber that publishes.

It answers each request once, with the return value of the handler, and commits automatically. The
protocol requires more from a worker.
"""

from __future__ import annotations

import asyncio
import os

from faststream import FastStream
from faststream.confluent import KafkaBroker

broker = KafkaBroker(os.environ["KAFKA_BRIDGE_BOOTSTRAP_SERVERS"])
app = FastStream(broker)


@broker.subscriber(
    os.environ["KAFKA_BRIDGE_REQUEST_TOPIC"],
    group_id=os.environ["KAFKA_BRIDGE_GROUP_ID"],
    auto_offset_reset="earliest",
)
@broker.publisher(os.environ["BENCH_RESPONSE_TOPIC"])
async def noop(payload: bytes) -> bytes:
    """Do nothing."""
    return payload


if __name__ == "__main__":
    asyncio.run(app.run())
