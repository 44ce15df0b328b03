"""Submits a job: reads the ends of its topics, stores its id, and publishes its request."""

from __future__ import annotations

from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.stored_job import StateStore, StoredJob, save
from kafka_bridge.airflow.submit.tracing import trace_headers
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.sizes import require_fitting
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import Encoding
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.headers import Headers, request_headers
from kafka_bridge.protocol.messages import JobRequest
from kafka_bridge.protocol.plain_replies import plain_request


class Submitter:
    """Publishes a task's requests.

    :param reply: how the service answers, which decides the form of the request
    :param timeout: seconds for each look-up and each publish
    """

    def __init__(
        self, config: KafkaConfig, encoding: Encoding, reply: Reply, timeout: float
    ) -> None:
        self._config = config
        self._reply = reply
        self._encoding = encoding
        self._timeout = timeout

    def submit(
        self,
        request: JobRequest,
        topic: str,
        store: StateStore,
        *,
        try_number: int,
        max_tries: int,
    ) -> tuple[StoredJob, RecordLocation]:
        """Store the job's id and the ends of the topics, publish its request, and return both.

        A crash in between loses nothing: each id that may have been published is stored.

        :raises InvalidMessage: the request breaks the protocol
        :raises RecordTooLarge: the request is too large; nothing is stored
        :raises KafkaError: a topic is missing, or the brokers did not accept the request
        """
        value, headers = self._encoded(request, topic)
        # Made first: it connects to the brokers while the ends of the topics are read.
        with RecordProducer(self._config, self._timeout) as producer:
            ends = end_offsets(self._config, {topic, request.response_topic}, self._timeout)
            job = StoredJob(
                request.correlation_id,
                request.attempt,
                try_number,
                max_tries,
                topic,
                request.response_topic,
                ends[topic],
                ends[request.response_topic],
                round(request.created_at.timestamp() * 1000),
            )
            save(store, job)
            return job, producer.publish(topic, request.correlation_id.encode(), value, headers)

    def submit_again(self, request: JobRequest, topic: str) -> RecordLocation:
        """Publish the request of a stored job that has not reached Kafka.

        :raises KafkaError: the brokers did not accept it
        """
        value, headers = self._encoded(request, topic)
        with RecordProducer(self._config, self._timeout) as producer:
            producer.connect(topic)
            return producer.publish(topic, request.correlation_id.encode(), value, headers)

    def _encoded(self, request: JobRequest, topic: str) -> tuple[bytes, Headers]:
        if self._reply is Reply.PLAIN:
            value, headers = plain_request(request)
        else:
            value = encode(request, self._encoding)
            headers = request_headers(request, self._encoding)
        headers += trace_headers()
        size = len(value) + sum(len(name) + len(text) for name, text in headers)
        require_fitting(self._config, topic, size, self._timeout)
        return value, headers
