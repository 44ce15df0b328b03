"""What can become of a callback, and the HTTP status that tells its sender."""

from __future__ import annotations

from enum import StrEnum


class CallbackOutcome(StrEnum):
    """What became of a callback."""

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
    """A callback is not taken. The text is for its sender: it tells no secret and nothing of us."""

    def __init__(self, outcome: CallbackOutcome, detail: str) -> None:
        super().__init__(detail)
        self.outcome = outcome
