"""Read the control topic from its beginning, and keep reading it."""

from __future__ import annotations

from collections.abc import Callable

from kafka_bridge.bounded_log import bounded_logger
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.follower import TopicFollower
from kafka_bridge.kafka.records import Record
from kafka_bridge.kafka.unreadable import SkippedBatches
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.messages import Command, JobCommand
from kafka_bridge.protocol.sanitize import one_line

_log = bounded_logger(__name__)

MOST_REASONS = 100_000
"""How many cancels are remembered. The oldest are dropped: their jobs finished long ago, or never
come."""
REASON_BYTES = 300
"""How much of a reason is kept: with :data:`MOST_REASONS` of them, at most about 50 MB."""


class ControlReader(TopicFollower):
    """Collects CANCEL commands and reports each one as it is read.

    ``reasons`` has, by correlation id, the reasons of the last :data:`MOST_REASONS` CANCELs, for
    jobs that are yet to come.

    :param heard: called on the reader's thread with the id of each job to be cancelled; must return
        at once
    :raises TopicNotFound: the control topic does not exist
    :raises AccessDenied: it may not be read
    :raises BrokerUnreachable: no broker answered within ``timeout`` seconds
    """

    def __init__(
        self,
        config: KafkaConfig,
        topic: str,
        heard: Callable[[str], None],
        *,
        timeout: float,
        skipped: Callable[[SkippedBatches], None] = lambda _: None,
    ) -> None:
        self.reasons: dict[str, str] = {}
        self._heard = heard
        super().__init__(config, topic, "control", self._process, timeout=timeout, skipped=skipped)

    def _process(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            command = record.decode(JobCommand)
        except RemoteProtocolError as error:
            _log.warning("A record on the control topic is not a command and is ignored: %s", error)
            return
        if command.command is Command.CANCEL:
            reason = one_line(command.reason or "no reason was given", REASON_BYTES)
            self._remember(command.correlation_id, reason)
            self._heard(command.correlation_id)

    def _remember(self, correlation_id: str, reason: str) -> None:
        self.reasons.pop(correlation_id, None)  # a repeated command counts as the newest
        self.reasons[correlation_id] = reason
        if len(self.reasons) > MOST_REASONS:
            del self.reasons[next(iter(self.reasons))]
