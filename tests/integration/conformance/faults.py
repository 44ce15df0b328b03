"""The faults of the bare worker: the probe that must find each one, and what follows from it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from kafka_bridge.protocol.encodings import Encoding

_FAULT = os.environ.get("FAULT", "")


@dataclass(frozen=True)
class Fault:
    """One change to a right worker.

    :ivar found_by: the probe that must fail
    :ivar follows: probes that may fail, too, because their rules need this one
    """

    name: str
    found_by: str
    follows: frozenset[str] = frozenset()
    encoding: Encoding = Encoding.AVRO


def fault(name: str) -> bool:
    """Tell whether this process has a fault."""
    assert any(each.name == name for each in FAULTS), f"{name} is no fault"
    return name == _FAULT


def _of(name: str, found_by: str, *follows: str, encoding: Encoding = Encoding.AVRO) -> Fault:
    return Fault(name, found_by, frozenset(follows), encoding)


NEEDS_APACHE = frozenset({"L1-READ-COMMITTED", "L3-READ-COMMITTED", "L3-BROKER-RESTART"})
"""The probes that the embedded broker cannot be used for: it has no restarts and no markers."""
_STUBBORN = ("L3-CANCEL-STUBBORN", "L3-DEADLINE-STUBBORN")

FAULTS = (
    _of("only-plain-json", "L1-DATA-GOLDEN"),
    _of("integers-as-doubles", "L1-DATA-INTEGERS", "L1-DATA-GOLDEN"),
    _of("refuses-unknown-fields", "L1-DATA-UNKNOWN-FIELDS", encoding=Encoding.JSON),
    _of("refuses-space", "L1-DATA-FORMS", encoding=Encoding.JSON),
    _of("refuses-sized-blocks", "L1-DATA-BLOCKS"),
    _of("result-as-text", "L1-DATA-RESULT"),
    _of("always-retryable", "L1-ERROR-OWN"),
    _of("own-unknown-type", "L1-ERROR-JOB-TYPE"),
    _of("own-payload-error", "L1-ERROR-PAYLOAD"),
    _of("unparsed-payload-is-empty", "L1-ERROR-NOT-JSON"),
    _of("ignores-reference", "L1-ERROR-REFERENCE"),
    _of("no-dead-letter", "L1-POISON-LETTER", "L1-POISON-HEADERS"),
    _of("dead-letter-text-headers", "L1-POISON-HEADERS", "L1-POISON-UNANSWERABLE"),
    _of("no-unreadable-event", "L1-POISON-EVENT"),
    _of("answers-anywhere", "L1-REPLY-TOPIC", "L1-POISON-UNANSWERABLE"),
    _of("starts-unanswerable", "L1-POISON-UNANSWERABLE"),
    _of("start-latest", "L1-START-EARLIEST", "*"),
    _of("ends-twice", "L1-REPLY-ONE", "*"),
    _of("key-in-upper-case", "L1-REPLY-KEY"),
    _of("crc-partitioner", "L1-REPLY-PARTITION"),
    _of("other-encoding", "L1-REPLY-ENCODING"),
    _of("garbage-beside-events", "L1-REPLY-READABLE"),
    _of("no-content-type", "L1-REPLY-HEADERS"),
    _of("no-trace", "L1-REPLY-TRACE"),
    _of("header-wins", "L1-REPLY-VALUE"),
    _of("tombstone-is-poison", "L1-REPLY-TOMBSTONE"),
    _of("no-accepted", "L2-ACCEPTED", "L3-ACCEPTED-FIRST"),
    _of("no-heartbeats", "L2-HEARTBEAT", "L2-HEARTBEAT-WAITING", "L3-HANDOVER", *_STUBBORN),
    _of("accepts-ahead-in-silence", "L2-HEARTBEAT-WAITING", "L3-HANDOVER"),
    _of("always-heartbeats", "L2-HEARTBEAT-OFF"),
    _of("no-progress", "L2-PROGRESS"),
    _of("sequence-stays", "L2-EVENT-SEQUENCE"),
    _of("same-event-id", "L2-EVENT-ID"),
    _of("delivery-plus-one", "L2-EVENT-DELIVERY", "L3-DELIVERY-NEXT", "L3-DELIVERY-RELEASED"),
    _of("runs-on-after-end", "L2-EVENT-ORDER", "L3-CANCEL-LATE"),
    _of("control-from-end", "L3-CANCEL-FIRST"),
    _of("forgets-early-cancels", "L3-CANCEL-EARLY", "L3-CANCEL-FIRST"),
    _of("cancels-when-free", "L3-CANCEL-QUEUED"),
    _of(
        "ignores-cancel-of-running",
        "L3-CANCEL-RUNNING",
        "L3-CANCEL-STUBBORN",
        "L3-CANCEL-UNKNOWN",
        "*",  # jobs that cannot be stopped occupy the worker
    ),
    _of("no-attribute-cancelled", "L3-CANCEL-STUBBORN"),
    _of("cancels-finished", "L3-CANCEL-LATE"),
    _of("unknown-command-cancels", "L3-CANCEL-UNKNOWN"),
    _of("starts-expired", "L3-EXPIRED", "L3-EXPIRED-QUEUED"),
    _of("checks-expiry-on-receipt", "L3-EXPIRED-QUEUED"),
    _of("starts-after-deadline", "L3-DEADLINE-PASSED"),
    _of("no-deadline", "L3-DEADLINE", "L3-DEADLINE-STUBBORN"),
    _of("no-attribute-deadline", "L3-DEADLINE-STUBBORN"),
    _of("runs-duplicates", "L3-DUPLICATE-RUNNING"),
    _of("forgets-finished", "L3-DUPLICATE-FINISHED"),
    _of("ledger-ignored", "L3-FINISHED", "L3-FINISHED-FIRST", "L3-FINISHED-BESIDE-ERROR"),
    _of("last-event-wins", "L3-FINISHED-FIRST"),
    _of("refuses-slips", "L3-FINISHED-BESIDE-ERROR"),
    _of("refuses-attributes", "L3-FINISHED-GOLDEN", "L3-CHECKPOINT"),
    _of("commits-before-end", "L3-COMMIT-AFTER-END"),
    _of("reads-aborted-requests", "L1-READ-COMMITTED"),
    _of("reads-aborted-ledger", "L3-READ-COMMITTED"),
    _of("delivery-always-one", "L3-DELIVERY-NEXT", "L3-DELIVERY-RELEASED"),
    _of("no-delivery-limit", "L3-DELIVERY-LIMIT"),
    _of("drops-checkpoint", "L3-CHECKPOINT"),
    _of("released-counts", "L3-DELIVERY-RELEASED"),
    # Those that only a stage of its own shows.
    _of("dies-of-odd-records", "L3-LEDGER-ODD"),
    _of("commits-at-receipt", "L3-KILL-REDELIVERY", "L3-KILL-FINISHED", "L3-ACCEPTED-FIRST"),
    _of("commits-past-unfinished", "L3-KILL-FINISHED"),
    _of("accepted-unacknowledged", "L3-ACCEPTED-FIRST"),
    _of("leaves-without-release", "L3-RELEASE"),
    _of("no-handover", "L3-HANDOVER"),
    _of("polls-between-jobs", "L3-LONG-JOB"),
    _of("publishes-after-revoke", "L3-REBALANCE"),
    _of("zombie", "L3-ZOMBIE"),
    _of("starts-again-after-freeze", "L3-REGAIN"),
    _of("gives-up", "L3-BROKER-RESTART"),
)
