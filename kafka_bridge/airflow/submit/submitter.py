"""Submits a job: reads where the events of the job will begin, and publishes its request."""

from __future__ import annotations

from collections.abc import Callable

from kafka_bridge.airflow.specs import Reply
from kafka_bridge.airflow.submit.submission import Submission
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
        self, request: JobRequest, topic: str, submission: Callable[[list[int]], Submission]
    ) -> tuple[Submission, RecordLocation]:
        """Publish a request. Return what it says of its submission, and where it lies.

        :param submission: makes the former of the ends of the response topic
        :raises InvalidMessage: the request breaks the protocol
        :raises RecordTooLarge: the request is too large
        :raises KafkaError: a topic is missing, or the brokers did not accept the request
        """
        value, headers = self._encoded(request)
        headers += trace_headers()
        # Without the header of the submission, which is small: nothing is asked of Kafka so far.
        size = len(value) + sum(len(name) + len(text) for name, text in headers)
        require_fitting(self._config, topic, size, self._timeout)
        # Made first: it connects to the brokers while the ends of the topics are read.
        with RecordProducer(self._config, self._timeout) as producer:
            # Of the request topic, too: a missing topic is found before anything is published.
            ends = end_offsets(self._config, {topic, request.response_topic}, self._timeout)
            submitted = submission(ends[request.response_topic])
            headers += submitted.header()
            key = request.correlation_id.encode()
            return submitted, producer.publish(topic, key, value, headers)

    def _encoded(self, request: JobRequest) -> tuple[bytes, Headers]:
        if self._reply is Reply.PLAIN:
            return plain_request(request)
        return encode(request, self._encoding), request_headers(request, self._encoding)
