"""Ask the brokers about consumer groups: who reads a topic, and what a group has committed.

A client sees only the groups that it may describe.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import confluent_kafka as ck
from confluent_kafka.admin import (
    AclOperation,
    AdminClient,
    ConsumerGroupDescription,
    ConsumerGroupListing,
)

from kafka_bridge.kafka.error_translation import kafka_error

MOST_GROUPS = 200
"""How many groups of a cluster are checked: each takes a request to its coordinator."""
_WITHOUT_MEMBERS = {ck.ConsumerGroupState.EMPTY, ck.ConsumerGroupState.DEAD}


@dataclass(frozen=True, slots=True)
class VisibleGroups:
    """The groups that this client may describe; ``hidden`` says in words which ones it may not."""

    descriptions: Sequence[ConsumerGroupDescription]
    hidden: str | None = None


def visible_groups(
    admin: AdminClient, timeout: float, *, with_members: bool = False
) -> VisibleGroups:
    """Return the consumer groups of the cluster.

    :param timeout: seconds for each of the two questions to the brokers
    :param with_members: only the groups that have members
    :raises confluent_kafka.KafkaException: the brokers did not answer, or know no groups
    """
    listed = admin.list_consumer_groups(request_timeout=timeout).result()
    names = sorted(each.group_id for each in listed.valid if not (with_members and _is_empty(each)))
    if not listed.valid and listed.errors:
        raise ck.KafkaException(listed.errors[0])
    found, refused = [], list[str]()
    asked = names[:MOST_GROUPS]
    answers = admin.describe_consumer_groups(asked, request_timeout=timeout) if asked else {}
    for name, answer in answers.items():
        try:
            found.append(answer.result())
        except ck.KafkaException as error:
            if kafka_error(error).code() != ck.KafkaError.GROUP_AUTHORIZATION_FAILED:
                raise
            refused.append(name)
    return VisibleGroups(found, _hidden(len(refused), len(names) - len(asked)))


def _is_empty(group: ConsumerGroupListing) -> bool:
    return group.state in _WITHOUT_MEMBERS


def _hidden(refused: int, left_out: int) -> str | None:
    if refused:
        return f"{refused} other group{'' if refused == 1 else 's'} may not be described by it"
    return f"{left_out} other groups were not checked" if left_out else None


def sees_all_groups(admin: AdminClient, timeout: float) -> bool:
    """Return whether groups are listed that this client may not describe one by one.

    :param timeout: seconds
    """
    asked = admin.describe_cluster(include_authorized_operations=True, request_timeout=timeout)
    try:
        allowed = asked.result().authorized_operations
    except ck.KafkaException:
        return False
    return AclOperation.DESCRIBE in (allowed or ())  # None where nothing is allowed


def members_on(topic: str, group: ConsumerGroupDescription) -> int:
    """Return how many members of a group have partitions of a topic."""
    return sum(
        member.assignment is not None
        and any(part.topic == topic for part in member.assignment.topic_partitions)
        for member in group.members
    )


def committed_by(
    admin: AdminClient, group: str, topic: str, partitions: Iterable[int], timeout: float
) -> dict[int, tuple[int, str]]:
    """Return a group's committed offsets with their metadata, by partition.

    Partitions without a committed offset are left out.

    :param timeout: seconds
    :raises confluent_kafka.KafkaException: the brokers did not answer, or refused
    """
    asked = ck.ConsumerGroupTopicPartitions(
        group, [ck.TopicPartition(topic, number) for number in partitions]
    )
    (answer,) = admin.list_consumer_group_offsets([asked], request_timeout=timeout).values()
    found = answer.result().topic_partitions
    return {
        each.partition: (each.offset, each.metadata or "") for each in found if each.offset >= 0
    }
