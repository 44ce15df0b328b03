"""What a batch's task raises when too many of its jobs did not succeed."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from kafka_bridge.protocol.errors import JobError, JobTimedOut, KafkaBridgeError


class KafkaBatchFailed(JobError, AirflowException):
    """Jobs of the batch failed. The task's retries apply: they submit anew what may yet succeed."""


class KafkaBatchFailedForGood(JobError, AirflowFailException):
    """So many jobs failed for good that trying again cannot help: no retries."""

    retryable = False


class KafkaBatchTimedOut(JobTimedOut, AirflowException):
    """A waiting rule ended the batch. The task's retries apply, as with KafkaBatchFailed."""


class ResultsTooLarge(KafkaBridgeError, AirflowFailException):
    """The results are more than an XCom should hold. Trying again cannot help: no retries."""
