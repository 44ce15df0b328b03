"""Ask the brokers which needed operations a client may not do; nothing is tried.

The description of a topic or group lists what the client may do with it (KIP-430). Without an
authorizer, everything is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient

from kafka_bridge.kafka.admin.acls import Acl
from kafka_bridge.kafka.clients import make
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.error_translation import kafka_error, translate
from kafka_bridge.protocol.errors import BrokerUnreachable

_REFUSED = frozenset(
    {
        ck.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        ck.KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class MissingPermission:
    """Operations that a client needs on a resource, and may not do."""

    acl: Acl
    operations: tuple[str, ...]

    def __str__(self) -> str:
        what = f"{self.acl.resource} {self.acl.name}{'*' if self.acl.prefixed else ''}"
        return f"{' and '.join(self.operations)} on {what}, to {self.acl.why}"


class Permissions:
    """Asks the brokers what this client may do. It begins to connect when it is made."""

    def __init__(self, config: KafkaConfig) -> None:
        self._servers = config.bootstrap_servers
        self._reader_group = str(config.reader("permissions")["group.id"])
        self._admin = make(AdminClient, config.admin())

    def missing(self, acls: Iterable[Acl], timeout: float) -> list[MissingPermission]:
        """Return which of these permissions are missing, as far as the brokers report.

        A topic that does not exist is left out.

        :param timeout: seconds for each of two requests
        :raises BrokerUnreachable: no broker answered in time
        """
        wanted = list(acls)
        allowed = {
            **self._on_topics([each.name for each in wanted if each.resource == "topic"], timeout),
            **self._on_groups([self._name(each) for each in wanted if _is_group(each)], timeout),
        }
        found = []
        for acl in wanted:
            may = allowed.get((acl.resource, self._name(acl)))
            if may is not None:
                lacking = tuple(each for each in acl.operations if each.lower() not in may)
                found += [MissingPermission(acl, lacking)] if lacking else []
        return found

    def _name(self, acl: Acl) -> str:
        """Return the name to ask about: of a prefix, one name that begins so."""
        return self._reader_group if acl.prefixed else acl.name

    def _on_topics(self, names: list[str], timeout: float) -> dict[tuple[str, str], set[str]]:
        asked = self._admin.describe_topics(
            ck.TopicCollection(sorted(set(names))),
            include_authorized_operations=True,
            request_timeout=timeout,
        )
        return self._allowed("topic", asked)

    def _on_groups(self, names: list[str], timeout: float) -> dict[tuple[str, str], set[str]]:
        asked = self._admin.describe_consumer_groups(
            sorted(set(names)), include_authorized_operations=True, request_timeout=timeout
        )
        return self._allowed("group", asked)

    def _allowed(
        self, resource: str, asked: dict[str, Future[Any]]
    ) -> dict[tuple[str, str], set[str]]:
        """Return by resource and name what is allowed; nothing for what the brokers do not tell."""
        found = {}
        for name, answer in asked.items():
            try:
                operations = answer.result().authorized_operations
            except ck.KafkaException as error:
                if kafka_error(error).code() in _REFUSED:
                    found[resource, name] = set[str]()
                self._raise_if_unreachable(error)
                continue
            if operations:
                found[resource, name] = {each.name.replace("_", "").lower() for each in operations}
        return found

    def _raise_if_unreachable(self, error: ck.KafkaException) -> None:
        words = translate(error, doing="asking what this client may do", servers=self._servers)
        if isinstance(words, BrokerUnreachable):
            raise words from error


def _is_group(acl: Acl) -> bool:
    return acl.resource == "group"
