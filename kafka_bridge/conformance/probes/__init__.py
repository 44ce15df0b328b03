"""The probes, by subject. Importing this package registers all of them."""

from kafka_bridge.conformance.probes import (  # noqa: F401
    checkpoints,
    commits,
    data,
    dead_letters,
    deliveries,
    duplicates,
    failures,
    ledger,
    live,
    membership,
    outage,
    replies,
    stopping,
    takeover,
    time_limits,
    transactions,
)
