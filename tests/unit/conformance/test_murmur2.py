"""The kit chooses partitions as Java's client does."""

from __future__ import annotations

import pytest

from kafka_bridge.conformance.murmur2 import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "java"),
    [
        ("21", -973932308),
        ("foobar", -790332482),
        ("a-little-bit-long-string", -985981536),
        ("a-little-bit-longer-string", -1486304829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        ("abc", 479470107),
    ],
)
def test_hash_is_that_of_java(key: str, java: int) -> None:
    """The values are those of Kafka's own UtilsTest."""
    assert murmur2(key.encode()) == java % 2**32


def test_partition_leaves_the_sign_out() -> None:
    """Java's partitioner makes the hash positive by its highest bit."""
    assert partition_of(b"21", 4) == (-973932308 & 0x7FFFFFFF) % 4
