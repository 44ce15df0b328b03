"""What a person can do about a timeout: one text for the task of a job and of a batch."""

from __future__ import annotations

from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.kafka.admin.diagnosis import diagnose
from kafka_bridge.protocol.messages import ErrorType

TIMEOUTS = frozenset(
    {
        ErrorType.NOT_STARTED,
        ErrorType.NOT_FINISHED,
        ErrorType.WORKER_LOST,
        ErrorType.NO_PROGRESS,
        ErrorType.DEADLINE_EXCEEDED,
    }
)
"""The errors with which a timeout ends a wait."""

_WORKER_LOST = (
    "Look at the logs of the service's workers. A live worker publishes at least every "
    "heartbeat_interval. After the session timeout (30 s by default), Kafka gives the jobs of a "
    "dead worker to another worker of its group. heartbeat_timeout must be well above both."
)
_DEADLINE_EXCEEDED = (
    "The progress lines above show how far the work had come. To allow more time, increase "
    "{time_limit}."
)
_NO_PROGRESS = (
    "The worker's process lives, since its heartbeats arrive, but the handler may hang: look at "
    "its last progress line above and at the worker's log. A handler that is only slow has to "
    "report progress, or progress_timeout has to be longer. A time_limit and process=True on the "
    "handler end one that hangs."
)
NO_TIME_LEFT = (
    "schedule_to_close_timeout bounds the jobs of all tries together, so the task is not retried. "
    "The lines above, and the logs of earlier tries, show where the time went. To allow more, "
    "increase it. Then clear the task: its time begins again."
)
_SPRING = (
    "A Spring listener that throws sends no reply: give it an errorHandler that returns one "
    "(@KafkaListener(errorHandler = …))."
)


def timeout_advice(
    timeout: ErrorType, kafka: KafkaAccess, request_topic: str, *, time_limit: str
) -> str:
    """Return what to do about a timeout. If no worker started, Kafka is asked about the reason.

    :param timeout: one of :data:`TIMEOUTS`
    :param time_limit: the parameter that bounds the whole job or batch
    """
    if timeout is ErrorType.WORKER_LOST:
        return _WORKER_LOST
    if timeout is ErrorType.NO_PROGRESS:
        return _NO_PROGRESS
    if timeout is ErrorType.NOT_FINISHED:
        return NO_TIME_LEFT
    if timeout is ErrorType.DEADLINE_EXCEEDED:
        return _DEADLINE_EXCEEDED.format(time_limit=time_limit)
    report = diagnose(kafka.config, request_topic, kafka.timeout)
    return f"{report} {_SPRING}" if kafka.reply is Reply.PLAIN else str(report)
