"""librdkafka's error codes in the bridge's own errors, in words that say what to do."""

from __future__ import annotations

import confluent_kafka as ck

from kafka_bridge.protocol import errors

PARTITION_END = ck.KafkaError._PARTITION_EOF  # noqa: SLF001  librdkafka's local codes begin so
"""The code of a message that says where a partition ends (``enable.partition.eof``)."""

_ACCESS = frozenset(
    {
        ck.KafkaError._AUTHENTICATION,  # noqa: SLF001
        ck.KafkaError._SSL,  # noqa: SLF001
        ck.KafkaError.SASL_AUTHENTICATION_FAILED,
        ck.KafkaError.UNSUPPORTED_SASL_MECHANISM,
        ck.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        ck.KafkaError.GROUP_AUTHORIZATION_FAILED,
        ck.KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
_NO_TOPIC = frozenset(
    {
        ck.KafkaError.UNKNOWN_TOPIC_OR_PART,
        ck.KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        ck.KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        ck.KafkaError.TOPIC_EXCEPTION,  # a name that no topic can have
    }
)
_DONE_FOR = frozenset(
    {
        ck.KafkaError._FATAL,  # noqa: SLF001  in a message, librdkafka says so by the code alone
        ck.KafkaError.FENCED_INSTANCE_ID,
    }
)
_SILENCE = frozenset(
    {
        ck.KafkaError._TRANSPORT,  # noqa: SLF001
        ck.KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001
        ck.KafkaError._TIMED_OUT,  # noqa: SLF001
        ck.KafkaError._MSG_TIMED_OUT,  # noqa: SLF001
        ck.KafkaError._RESOLVE,  # noqa: SLF001
        ck.KafkaError._TIMED_OUT_QUEUE,  # noqa: SLF001
    }
)


def kafka_error(error: ck.KafkaException | ck.KafkaError) -> ck.KafkaError:
    """Return the KafkaError inside a KafkaException, or the error itself."""
    if isinstance(error, ck.KafkaException):
        cause: ck.KafkaError = error.args[0]
        return cause
    return error


def is_missing_topic(error: ck.KafkaError) -> bool:
    """Return whether an error says that a topic is not there; a broker that starts may, too."""
    return error.code() in _NO_TOPIC


def heals_by_itself(error: ck.KafkaError) -> bool:
    """Return whether waiting may help.

    Not so for access, for a topic that is not there, and for what librdkafka itself calls fatal (a
    fenced ``group.instance.id``, say): its client is of no use any more.
    """
    return not error.fatal() and error.code() not in _ACCESS | _NO_TOPIC | _DONE_FOR


def ends_reading(error: ck.KafkaError) -> bool:
    """Return whether an error ends the reading of partitions that a reader assigned to itself.

    Such a reader uses nothing of its group. librdkafka looks for the group's coordinator all the
    same, and reports a refusal, sooner or later than the first records: it changes nothing.
    """
    return error.code() != ck.KafkaError.GROUP_AUTHORIZATION_FAILED and not heals_by_itself(error)


def is_silence(error: ck.KafkaError) -> bool:
    """Return whether an error says that no broker answered; why is not known by it."""
    return error.code() in _SILENCE


def refused(reason: str, *, doing: str, servers: str) -> errors.AccessDenied:
    """Return the error for a client that is not let in."""
    return errors.AccessDenied(f"Kafka at {servers} refused this client while {doing}: {reason}")


def translate(
    error: ck.KafkaException | ck.KafkaError, *, doing: str, servers: str, topic: str = ""
) -> errors.KafkaError:
    """Return the bridge's error for one of librdkafka's.

    ``doing`` completes "Kafka failed while …"; ``servers`` are the bootstrap servers.
    """
    cause = kafka_error(error)
    code = cause.code()
    if code in _ACCESS:
        return errors.AccessDenied(
            f"Kafka at {servers} refused access while {doing}: {cause.str()}. "
            "Check the credentials and ACLs (`kafka-bridge topics acls` lists those needed)."
        )
    if code in _NO_TOPIC:
        return topic_not_found(topic, servers)
    if code in _SILENCE:
        return errors.BrokerUnreachable(
            f"no Kafka broker answered at {servers} while {doing}: {cause.str()}. "
            "Check 'bootstrap.servers' and that the brokers can be reached from here."
        )
    return errors.DeliveryFailed(f"Kafka at {servers} failed while {doing}: {cause.str()}")


def topic_not_found(topic: str, servers: str) -> errors.TopicNotFound:
    """Return the error for a topic that does not exist, saying how to create it."""
    return errors.TopicNotFound(
        f"topic {topic!r} does not exist on Kafka at {servers}: "
        "create it (`kafka-bridge topics create`) or correct the name"
    )


def too_large(topic: str, size: int, limit: str) -> errors.RecordTooLarge:
    """Return the error for a record that the client or the broker does not take."""
    return errors.RecordTooLarge(
        f"a record of {size:,} bytes is too large for topic {topic!r}: {limit}. Put large data "
        "elsewhere and send a reference to it, or raise the producer's 'message.max.bytes' and the "
        "topic's 'max.message.bytes' together."
    )
