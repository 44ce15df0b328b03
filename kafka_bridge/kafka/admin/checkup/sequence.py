"""The checks of Kafka, in the order in which one depends on another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from kafka_bridge.findings import Check, Finding, Level, failed, warning
from kafka_bridge.kafka.admin.acls import Acl
from kafka_bridge.kafka.admin.checkup.access import Connection, permissions
from kafka_bridge.kafka.admin.checkup.clocks import clocks
from kafka_bridge.kafka.admin.checkup.consumers import consumers
from kafka_bridge.kafka.admin.checkup.network import Reached, advertised_addresses
from kafka_bridge.kafka.admin.checkup.topics import exists, topic
from kafka_bridge.kafka.admin.checkup.versions import release
from kafka_bridge.kafka.admin.topics import Cluster, Copies, TopicPlan
from kafka_bridge.kafka.config import KafkaConfig

UNKNOWN_GROUP = "(unknown)"
"""In place of the workers' consumer group, where this side does not know it."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What one side of the bridge needs of Kafka.

    :ivar plans: how its topics should be; the number of replicas is as many as are safe and
        possible
    :ivar acls: the permissions that it needs
    :ivar request_topic: the topic whose consumers are checked
    :ivar response_topic: the topic whose timestamps are checked, too
    :ivar without_worker: the level of the finding that no worker reads the request topic
    """

    plans: Sequence[TopicPlan]
    acls: Sequence[Acl]
    request_topic: str
    response_topic: str
    without_worker: Level


def on_known_groups(acls: Iterable[Acl]) -> list[Acl]:
    """Return the permissions that can be checked: not those on :data:`UNKNOWN_GROUP`."""
    return [each for each in acls if each.name != UNKNOWN_GROUP]


def kafka_checks(config: KafkaConfig, needs: Needs) -> Iterator[Check]:
    """Yield the checks of Kafka. Run each one before the next one is taken.

    What cannot be known after a failure is left out, with one finding that says so.
    """
    for check in _checks(config, needs):
        yield Check(check.subject, partial(_without_secrets, config, check.run))


def _checks(config: KafkaConfig, needs: Needs) -> Iterator[Check]:
    connection, reached = Connection(config), Reached(config.bootstrap_servers)
    yield Check("bootstrap servers", reached.check)
    if reached.any:
        yield Check("connection", connection.check)
    cluster = connection.cluster
    if cluster is None:
        yield Check("Kafka", _not_checked)
        return
    yield Check("brokers", partial(advertised_addresses, cluster.addresses))
    if not cluster.is_embedded:
        yield Check("broker version", partial(release, config))
    yield from _topic_checks(config, needs, cluster)
    if not cluster.is_embedded:
        yield Check("permissions", partial(permissions, config, needs.acls))
    yield Check("consumers", partial(consumers, config, needs.request_topic, needs.without_worker))
    if not cluster.is_embedded:
        dated = (needs.request_topic, needs.response_topic)
        yield Check("clocks", partial(clocks, config, dated))


def _topic_checks(config: KafkaConfig, needs: Needs, cluster: Cluster) -> Iterator[Check]:
    copies = Copies.chosen(None, None, cluster.brokers)
    look = exists if cluster.is_embedded else topic
    for each in needs.plans:
        plan = dataclasses.replace(each, copies=copies)
        yield Check(f"topic {plan.name}", partial(look, config, plan))


def _not_checked(_: float) -> Iterator[Finding]:
    yield warning(
        "topics, permissions, consumers and clocks were not checked, because no broker answered "
        "this client"
    )


def _without_secrets(
    config: KafkaConfig, run: Callable[[float], Iterable[Finding]], seconds: float
) -> Iterator[Finding]:
    """Yield a check's findings; a value of a secret property in their texts becomes ``***``."""
    for each in _findings(run, seconds):
        yield Finding(each.level, config.masked(each.text), config.masked(each.advice))


def _findings(run: Callable[[float], Iterable[Finding]], seconds: float) -> Iterator[Finding]:
    try:
        yield from run(seconds)
    except Exception as failure:
        yield failed(failure)
