"""Kafka as a task's process or its trigger uses it: one connection, and CANCEL for the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from kafka_bridge.airflow.hooks import kafka_config
from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.task_log import TaskLog
from kafka_bridge.kafka.commands import cancel, cancel_all
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.response_records import HeadReader, event_head, plain_head
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import KafkaBridgeError


@dataclass(frozen=True)
class KafkaAccess:
    """How a task reaches Kafka.

    :param kafka_config_id: the Airflow connection
    :param control_topic: the topic of its CANCEL commands
    :param encoding: the encoding of its commands
    :param reply: a service with plain replies reads no commands, so nothing is published for it
    :param timeout: seconds for each look-up and each publish
    """

    kafka_config_id: str
    control_topic: str
    encoding: Encoding
    reply: Reply
    timeout: float
    log: TaskLog

    @cached_property
    def config(self) -> KafkaConfig:
        """The settings of the connection; looked up once, when they are needed.

        :raises ConfigurationError: the connection is missing or incomplete
        """
        return kafka_config(self.kafka_config_id)

    def cancel(self, job_id: str, reason: str) -> None:
        """Ask the workers to cancel a job. A failure is logged, not raised."""
        if self.reply is Reply.PLAIN:
            return
        try:
            location = cancel(
                self.config,
                self.control_topic,
                job_id,
                reason,
                encoding=self.encoding,
                timeout=self.timeout,
            )
        except KafkaBridgeError as error:
            self.log.warning("Job %s: publishing CANCEL failed: %s", job_id, error)
        else:
            self.log.info("Job %s: CANCEL published (%s): %s", job_id, location, reason)

    def cancel_all(self, job_ids: Sequence[str], reason: str) -> None:
        """Ask the workers to cancel jobs. A failure is logged, not raised."""
        if self.reply is Reply.PLAIN or not job_ids:
            return
        try:
            cancel_all(
                self.config,
                self.control_topic,
                job_ids,
                reason,
                encoding=self.encoding,
                timeout=self.timeout,
            )
        except KafkaBridgeError as error:
            self.log.warning("%d jobs: publishing CANCEL failed: %s", len(job_ids), error)
        else:
            self.log.info("%d jobs: CANCEL published: %s", len(job_ids), reason)


def head_reader(reply: Reply) -> HeadReader:
    """Return what reads the response records of jobs that are answered so."""
    return plain_head if reply is Reply.PLAIN else event_head
