"""confluent_kafka's clients, made so that a wrong setting is an error in words."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.failures import kafka_error
from kafka_bridge.protocol.errors import ConfigurationError

REPEAT_SECONDS = 60.0


class _NoRepeats(logging.Filter):
    """Passes each line once a minute: librdkafka retries an absent broker many times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        # The lines of one fault differ in "(after 12ms in state CONNECT)".
        line = re.sub(r"rdkafka#|\(after .*\)|\d+ms", "", record.getMessage())
        now = time.monotonic()
        if now - self._last.get(line, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._last = {text: at for text, at in self._last.items() if now - at < REPEAT_SECONDS}
        self._last[line] = now
        return True


_log = logging.getLogger("kafka_bridge.librdkafka")
_log.addFilter(_NoRepeats())

C = TypeVar("C", ck.Producer, ck.Consumer, AdminClient)


def make(kind: type[C], settings: Mapping[str, Any]) -> C:
    """Return a client of that kind, whose own log lines go to Python's logging.

    :raises ConfigurationError: librdkafka does not know a property or refuses its value
    """
    try:
        return kind(dict(settings), logger=_log)
    except ck.KafkaException as error:
        raise ConfigurationError(
            f"the Kafka configuration is not accepted: {kafka_error(error).str().strip()}"
        ) from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the Kafka configuration is not accepted: {error}") from error
