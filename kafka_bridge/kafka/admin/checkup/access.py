"""Whether the brokers let a client in, and what it may do there."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kafka_bridge.findings import Finding, error, ok, warning
from kafka_bridge.kafka.admin.acls import Acl
from kafka_bridge.kafka.admin.permissions import Permissions
from kafka_bridge.kafka.admin.topics import Cluster, describe_cluster
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import KafkaBridgeError

CERTIFICATES = ("ssl.certificate.location", "ssl.certificate.pem", "ssl.keystore.location")


class Connection:
    """The first question to the brokers.

    :ivar cluster: what they answered; None until they have
    """

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self.cluster: Cluster | None = None

    def check(self, seconds: float) -> Iterator[Finding]:
        """Yield whether the brokers answer this client, or why they do not."""
        began = time.monotonic()
        try:
            cluster = describe_cluster(self._config, seconds / 2)
        except KafkaBridgeError as failure:  # which says what to do
            yield error(str(failure))
            return
        took = time.monotonic() - began
        self.cluster = cluster
        count = f"{cluster.brokers} broker{'' if cluster.brokers == 1 else 's'}"
        yield ok(f"answered in {took:.1f} s, {_identity(self._config.settings)}; {count}")
        if cluster.is_embedded:
            yield warning(
                "this is an embedded broker (librdkafka's mock cluster): its topics have no "
                "settings, and its data are gone when it stops",
                "Use it for demos and tests only.",
            )


def _identity(settings: Mapping[str, Any]) -> str:
    """Return in words as whom a client connects, without secrets."""
    protocol = str(settings.get("security.protocol", "PLAINTEXT")).upper()
    if protocol.startswith("SASL"):
        mechanism = settings.get("sasl.mechanism") or "GSSAPI"
        user = settings.get("sasl.username")
        who = f" as user {user!r}" if user else ""
        return f"{protocol} with {mechanism}{who}"
    if protocol == "SSL" and any(settings.get(each) for each in CERTIFICATES):
        return "SSL with a client certificate"
    return f"{protocol} without credentials"


def permissions(config: KafkaConfig, acls: Iterable[Acl], seconds: float) -> Iterator[Finding]:
    """Yield the permissions that this client lacks, each with the command that grants it.

    *Describe* on a group is never needed for a job, so it is a warning.
    """
    wanted = list(acls)
    missing = Permissions(config).missing(wanted, seconds / 2)
    for each in missing:
        level = warning if each.acl.operations == ("Describe",) else error
        command = each.acl.command(config.bootstrap_servers)
        yield level(f"this client lacks {each}", f"An administrator can grant it: {command}")
    if not missing:
        yield ok("none is missing, as far as the brokers report")
