"""Every error that kafka-bridge raises on purpose.

::

    KafkaBridgeError
    ├── ConfigurationError          a setting is missing or invalid
    ├── ProtocolError
    │   ├── LocalProtocolError      this side was about to break the rules: nothing was sent
    │   │   ├── InvalidMessage      a message with fields that the protocol forbids
    │   │   ├── InvalidPayload      a payload that does not fit its model
    │   │   └── PayloadNotSerialisable
    │   └── RemoteProtocolError     the peer broke them: names topic, partition and offset
    │       ├── Undecodable         the bytes are not a message of the expected type
    │       └── UnknownSchema       well formed, but with a schema that this side does not have
    ├── KafkaError
    │   ├── BrokerUnreachable       no broker answered in time
    │   ├── AccessDenied            authentication or authorization failed: a person must act
    │   ├── TopicNotFound
    │   ├── TopicMisconfigured      `topics check` found something that loses jobs
    │   ├── RecordTooLarge
    │   ├── RecordGone              retention removed a record that was still needed
    │   ├── DeliveryFailed          the broker did not acknowledge a record
    │   └── ReaderClosed            the response reader ended while a job was waiting
    └── JobError                    a job did not succeed
        ├── JobFailed               the worker's own error
        ├── JobCancelled
        └── JobTimedOut             one of the three timeouts ended it

The two kinds of ProtocolError follow h11: this side broke the rules, or the peer did.
"""

from __future__ import annotations

from dataclasses import dataclass


class KafkaBridgeError(Exception):
    """Base of all errors here. The text is for a person: what happened, and what to do."""


class ConfigurationError(KafkaBridgeError):
    """A setting is missing, misspelt or contradicts another one."""


class ProtocolError(KafkaBridgeError):
    """Something does not follow the job protocol."""


class LocalProtocolError(ProtocolError):
    """This side was about to break the protocol; nothing was sent."""


class InvalidMessage(LocalProtocolError, ValueError):
    """A message has a field that the protocol forbids."""


class InvalidPayload(LocalProtocolError, ValueError):
    """A payload does not fit the model that its sender declared."""


class PayloadNotSerialisable(LocalProtocolError, TypeError):
    """A payload or result cannot be written as JSON."""


@dataclass(frozen=True, slots=True)
class RecordLocation:
    """The position of a Kafka record. ``partition`` and ``offset`` count from 0."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class RemoteProtocolError(ProtocolError):
    """A record from another program does not follow the protocol.

    ``reason`` says what is wrong with the bytes. ``location`` is None until the record's position
    in Kafka is known (:meth:`at`).
    """

    def __init__(self, reason: str, location: RecordLocation | None = None) -> None:
        self.reason = reason
        self.location = location
        super().__init__(f"{location}: {reason}" if location else reason)

    def at(self, location: RecordLocation) -> RemoteProtocolError:
        """Return the same error with the position of its record."""
        return type(self)(self.reason, location)


class Undecodable(RemoteProtocolError):
    """The bytes are not a message of the expected type."""


class UnknownSchema(RemoteProtocolError):
    """The bytes name a schema that this side does not have."""


class KafkaError(KafkaBridgeError):
    """Kafka refused, failed or did not answer."""


class BrokerUnreachable(KafkaError):
    """No broker answered in time. A later try may succeed."""


class AccessDenied(KafkaError):
    """Authentication or authorization failed. A person must change credentials or ACLs."""


class TopicNotFound(KafkaError):
    """A topic does not exist."""


class TopicMisconfigured(KafkaError):
    """A topic exists, but its settings would lose jobs."""


class RecordTooLarge(KafkaError):
    """A record is larger than the client or the broker allows."""


class RecordGone(KafkaError):
    """A record that was still needed is no longer in its topic."""


class DeliveryFailed(KafkaError):
    """The broker did not acknowledge a record."""


class ReaderClosed(KafkaError):
    """The response reader ended while a job was still waiting on it."""


class JobError(KafkaBridgeError):
    """A job did not succeed.

    ``retryable``: whether another try may succeed.
    """

    retryable = True


class JobFailed(JobError):
    """The worker reported a failure.

    ``error_type``, ``error_message``, ``details`` (often a traceback, or None) and ``retryable``
    are the worker's own.
    """

    def __init__(
        self, error_type: str, error_message: str, details: str | None, *, retryable: bool
    ) -> None:
        self.error_type = error_type
        self.error_message = error_message
        self.details = details
        self.retryable = retryable
        super().__init__(f"{error_type}: {error_message}")


class JobCancelled(JobError):
    """The worker confirmed that the job was cancelled."""

    retryable = False


class JobTimedOut(JobError):
    """No worker accepted the job, its worker stopped responding, or it ran too long."""
