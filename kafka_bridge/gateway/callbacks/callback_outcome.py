"""The outcomes of a callback, and the error that refuses it."""

from __future__ import annotations

from enum import StrEnum


class CallbackOutcome(StrEnum):
    """The outcome of a callback."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    UNAUTHORIZED = "unauthorized"
    EXPIRED = "expired"
    UNKNOWN_JOB_TYPE = "unknown_job_type"
    TOO_SLOW = "too_slow"
    CONFLICT = "conflict"
    OVERSIZED = "oversized"
    MALFORMED = "malformed"
    UNAVAILABLE = "unavailable"


class CallbackRefused(Exception):
    """A callback is not accepted. The message goes to its sender and must not contain secrets."""

    def __init__(self, outcome: CallbackOutcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
