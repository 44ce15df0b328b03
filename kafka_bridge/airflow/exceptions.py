"""The errors that a task raises when its job, or too many jobs of its batch, did not succeed.

Each is an error of the bridge and one of Airflow's as well: Airflow retries the task after an
AirflowException, and fails it at once after an AirflowFailException.
"""

from __future__ import annotations

from typing import TypeVar

from kafka_bridge.airflow.compat import AirflowException, AirflowFailException
from kafka_bridge.protocol.errors import (
    JobCancelled,
    JobError,
    JobFailed,
    JobTimedOut,
    KafkaBridgeError,
    Undecodable,
)
from kafka_bridge.protocol.messages import ErrorType, JobFailure

E = TypeVar("E", bound=Exception)


class KafkaJobFailed(JobFailed, AirflowException):
    """The worker failed the job; the task's retries apply."""


class KafkaJobFailedNonRetryable(JobFailed, AirflowFailException):
    """The worker failed the job with a non-retryable error: no retries."""


class KafkaJobCancelled(JobCancelled, AirflowFailException):
    """The job was cancelled: no retries."""


class KafkaJobTimedOut(JobTimedOut, AirflowException):
    """A timeout ended the wait; the task's retries apply. ``rule`` names the timeout."""

    def __init__(self, message: str, rule: ErrorType) -> None:
        super().__init__(message)
        self.rule = rule


class KafkaJobTimedOutNonRetryable(KafkaJobTimedOut, AirflowFailException):
    """``schedule_to_close_timeout`` has passed: no retries, for which no time is left."""

    retryable = False


class KafkaJobKilled(JobCancelled, AirflowException):
    """The job was cancelled because its task's process was killed; the task's retries apply."""


class KafkaJobWaitFailed(AirflowException):
    """The triggerer could not wait for the job; the task's retries apply."""


class ResultUnreadable(Undecodable, AirflowFailException):
    """The job succeeded, but its result does not match its media type.

    No retries: they would read the same record.
    """


class ResultNotStorable(KafkaBridgeError, AirflowFailException):
    """The job succeeded, but Airflow cannot store its result.

    No retries: they would read the same result.
    """


class ResultTooLarge(KafkaBridgeError, AirflowFailException):
    """The job succeeded, but its result is larger than an XCom may be: no retries."""


class KafkaBatchFailed(JobError, AirflowException):
    """Too many jobs of a batch failed. The task's retries apply: they submit them again."""


class KafkaBatchFailedNonRetryable(JobError, AirflowFailException):
    """Too many jobs of a batch failed with a non-retryable error: no retries."""

    retryable = False


class KafkaBatchTimedOut(JobTimedOut, AirflowException):
    """A timeout ended the batch. The task's retries apply, as with :class:`KafkaBatchFailed`."""


class ResultsTooLarge(KafkaBridgeError, AirflowFailException):
    """The results of a batch are larger than an XCom may be: no retries."""


def failed(error: JobFailure) -> KafkaJobFailed | KafkaJobFailedNonRetryable:
    """Return the exception for a worker's error."""
    kind = KafkaJobFailed if error.retryable else KafkaJobFailedNonRetryable
    return kind(error.type, error.message, error.details, retryable=error.retryable)


def without_frames(error: E) -> E:
    """Return the error without the frames that it has passed.

    Airflow writes the traceback of what a task raises to its log. For the outcome of a job it would
    show where the bridge read it, which helps nobody. Raise the error ``from None``.
    """
    return error.with_traceback(None)
