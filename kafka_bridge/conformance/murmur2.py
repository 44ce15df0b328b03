"""The partition of a key, as Java's default partitioner chooses it."""

from __future__ import annotations

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_SHIFT = 24
_BITS = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: its murmur2 hash without the sign, by the partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return the 32-bit hash, unsigned (org.apache.kafka.common.utils.Utils.murmur2)."""
    value = _SEED ^ len(data)
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        part = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _BITS
        part = (part ^ part >> _SHIFT) * _MULTIPLIER & _BITS
        value = value * _MULTIPLIER & _BITS ^ part
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _BITS
    value = (value ^ value >> 13) * _MULTIPLIER & _BITS
    return value ^ value >> 15
