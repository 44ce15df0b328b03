"""A job on its way out: where the topics end, then the stored id, then the request."""

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

    :param reply: how the service answers, and so what it is asked with
    :param timeout: seconds for each question to the brokers, and for the delivery
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
        """Store the job's id and where the topics end, publish its request, return both.

        In this order a crash in between loses nothing: the id that may have been published is
        known.

        :raises InvalidMessage: the request breaks the protocol
        :raises RecordTooLarge: it does not fit; nothing is stored
        :raises KafkaError: a topic is missing, or the brokers did not take the request
        """
        value, headers = self._encoded(request, topic)
        # Made first: it connects to the brokers while they are asked where the topics end.
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
        """Publish the request of a job that is stored, but did not reach Kafka.

        :raises KafkaError: the brokers did not take it
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
