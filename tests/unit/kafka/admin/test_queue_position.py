"""How many unfinished requests are before another one, and who reads the topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import confluent_kafka as ck
import pytest
from confluent_kafka.admin import AclOperation
from hypothesis import given
from hypothesis import strategies as st

from kafka_bridge.kafka import offsets
from kafka_bridge.kafka.admin import groups
from kafka_bridge.kafka.admin.queue_position import PartitionQueue, TopicQueue, queues_of
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.finished_runs import ConsumedRecord, FinishedRuns, to_metadata
from kafka_bridge.protocol.errors import BrokerUnreachable

CONFIG = KafkaConfig({"bootstrap.servers": "nobody"})
STABLE = ck.ConsumerGroupState.STABLE


@given(st.integers(0, 5), st.lists(st.booleans(), max_size=30))
def test_only_unfinished_requests_with_a_smaller_offset_count(
    committed: int, done: list[bool]
) -> None:
    """Whatever is finished, in whatever order."""
    finished = [each for each, is_done in enumerate(done, committed) if is_done]
    last = ConsumedRecord(committed + len(done), 0)
    runs = FinishedRuns.up_to(last, [(each, each + 1) for each in finished]).runs
    partition = PartitionQueue(0, committed, runs)
    for offset in range(committed + len(done) + 3):
        unfinished = [each for each in range(committed, offset) if each not in finished]
        is_done = offset < committed or offset in finished
        assert partition.before(offset) == (None if is_done else len(unfinished))
    assert partition.done == committed + len(finished)


def answer(value: Any) -> Future[Any]:
    """Return an answer that has arrived: an exception fails it."""
    future: Future[Any] = Future()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


def error(code: int) -> ck.KafkaException:
    """Return an error of a broker."""
    return ck.KafkaException(ck.KafkaError(code))


@dataclass
class Group:
    """A group: the topics of each member, and its committed offsets of any topic."""

    members: Sequence[str] = ()
    committed: Mapping[int, tuple[int, str]] = field(default_factory=dict)
    state: ck.ConsumerGroupState = STABLE


@dataclass
class Admin:
    """Stands in for confluent_kafka's admin client; each topic has two partitions."""

    groups: dict[str, Group] = field(default_factory=dict)
    first: int = 0
    missing: Sequence[str] = ()
    sees_all: bool = True
    asked: list[str] = field(default_factory=list)
    connection_watch: Any = field(
        default_factory=lambda: SimpleNamespace(why_silent=lambda _: None, forget=lambda: None)
    )

    def make(self, *_: object) -> Self:
        """Stand in for ``kafka_bridge.kafka.clients.make``."""
        return self

    def poll(self, _: float) -> int:
        """Report nothing."""
        return 0

    def list_topics(self, topic: str, timeout: float) -> Any:
        """Return the topic's metadata."""
        assert timeout > 0
        unknown = ck.KafkaError(ck.KafkaError.UNKNOWN_TOPIC_OR_PART)
        found = SimpleNamespace(error=unknown if topic in self.missing else None, partitions=[0, 1])
        return SimpleNamespace(topics={topic: found})

    def list_offsets(self, asked: Any, **_: float) -> Any:
        """Return where partitions begin."""
        return {place: answer(SimpleNamespace(offset=self.first)) for place in asked}

    def list_consumer_groups(self, **_: float) -> Any:
        """Return the names and states of all groups."""
        self.asked.append("groups")
        valid = [
            SimpleNamespace(group_id=name, state=each.state) for name, each in self.groups.items()
        ]
        return answer(SimpleNamespace(valid=valid, errors=[]))

    def describe_consumer_groups(self, names: list[str], **_: float) -> Any:
        """Return the members."""
        self.asked += names
        return {name: answer(self._description(name)) for name in names}

    def _description(self, name: str) -> Any:
        parts = [[SimpleNamespace(topic=topic)] for topic in self.groups[name].members]
        members = [
            SimpleNamespace(assignment=SimpleNamespace(topic_partitions=each)) for each in parts
        ]
        return SimpleNamespace(group_id=name, members=members, state=self.groups[name].state)

    def list_consumer_group_offsets(self, asked: Any, **_: float) -> Any:
        """Return what a group has committed."""
        (request,) = asked
        known = self.groups[request.group_id].committed
        none = (-1001, "")
        found = [
            ck.TopicPartition(each.topic, each.partition, *known.get(each.partition, none))
            for each in request.topic_partitions
        ]
        return {request.group_id: answer(SimpleNamespace(topic_partitions=found))}

    def describe_cluster(self, **_: object) -> Any:
        """Say what this client may do."""
        allowed = [AclOperation.DESCRIBE] if self.sees_all else None
        return answer(SimpleNamespace(authorized_operations=allowed))


@pytest.fixture
def admin(monkeypatch: pytest.MonkeyPatch) -> Admin:
    """Give a cluster without groups."""
    admin = Admin()
    monkeypatch.setattr(offsets, "make", admin.make)
    return admin


def look(*topics: str) -> dict[str, TopicQueue]:
    """Look at topics."""
    return queues_of(CONFIG, topics or ("q",), 5.0)


def test_workers_and_what_they_have_finished_are_found(admin: Admin) -> None:
    """What is finished above the committed offset, too; another service's group does not count."""
    runs = FinishedRuns(((12, 14), (15, 20)), ConsumedRecord(30, 0))
    committed = {0: (11, to_metadata(11, runs))}
    admin.groups = {"thumbs": Group(["q", "q", "other"], committed), "audit": Group(["other"])}
    queue = look()["q"]
    assert queue == TopicQueue(
        2, {0: PartitionQueue(0, 11, ((12, 14), (15, 20))), 1: PartitionQueue(0, 0)}
    )
    assert queue.partitions[0].before(22) == 4


def test_metadata_of_others_does_not_count(admin: Admin) -> None:
    """Then all requests from the committed offset on count as unfinished."""
    admin.groups = {"thumbs": Group(["q"], {0: (11, "a note of another program")})}
    assert look()["q"].partitions[0].before(13) == 2


def test_requests_that_retention_has_removed_do_not_count(admin: Admin) -> None:
    """The topic begins after the committed offset."""
    admin.first = 100
    admin.groups = {"thumbs": Group(["q"], {0: (11, "")})}
    assert look()["q"].partitions[0] == PartitionQueue(100, 100)


def test_of_several_groups_the_one_that_is_behind_counts(admin: Admin) -> None:
    """A group that only watches is at the end."""
    admin.groups = {
        "watch": Group(["q"], {0: (50, ""), 1: (50, "")}),
        "thumbs": Group(["q", "q", "q"], {0: (11, ""), 1: (50, "")}),
    }
    assert look()["q"].workers == 3


def test_topic_that_no_worker_reads_says_what_to_do(admin: Admin) -> None:
    """A group that has lost its last member is as good as none."""
    admin.groups = {
        "thumbs": Group([], {0: (1, "")}, ck.ConsumerGroupState.EMPTY),
        "audit": Group(["other"]),
    }
    words = "no consumer group reads 'q': start the service's workers"
    assert look()["q"] == TopicQueue(absent=words)
    assert admin.asked == ["groups", "audit"]


def test_client_that_may_not_see_all_groups_calls_none_missing(admin: Admin) -> None:
    """It says which permission is missing."""
    admin.sees_all = False
    (queue,) = look().values()
    assert queue.absent is None
    assert queue.unknown is not None
    assert "no consumer group that this client may see reads 'q'" in queue.unknown
    assert "allow this client to Describe their group" in queue.unknown


def test_group_that_is_about_to_share_out_partitions_is_not_missing(admin: Admin) -> None:
    """Its members have none for a moment."""
    admin.groups = {"thumbs": Group([], {}, ck.ConsumerGroupState.PREPARING_REBALANCING)}
    assert look()["q"] == TopicQueue()


def test_groups_are_asked_for_once_for_all_topics(admin: Admin) -> None:
    """There may be hundreds of them."""
    admin.groups = {"thumbs": Group(["a", "b"])}
    admin.missing = ["gone"]
    found = look("a", "b", "gone")
    assert admin.asked == ["groups", "thumbs"]
    assert (found["a"].workers, found["b"].workers) == (1, 1)
    assert "topic 'gone' does not exist any more" in (found["gone"].absent or "")


def test_brokers_without_groups_are_an_answer(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of a look is told, not raised."""

    def fail(*_: object, **__: object) -> Any:
        raise error(ck.KafkaError._UNSUPPORTED_FEATURE)

    monkeypatch.setattr(admin, "list_consumer_groups", fail)
    (queue,) = look().values()
    assert "feature not supported by broker" in (queue.unknown or "")


def test_silent_brokers_are_asked_once_for_all_topics(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each topic would need the whole time."""
    asked = []

    def partitions(_: object, topic: str, __: float) -> range:
        asked.append(topic)
        raise BrokerUnreachable("no broker answered")

    monkeypatch.setattr(offsets.TopicOffsets, "partitions", partitions)
    assert look("a", "b") == dict.fromkeys("ab", TopicQueue(unknown="no broker answered"))
    assert asked == ["a"]


def test_many_groups_are_not_all_described(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes a request; that some were left out is not called missing."""
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    admin.groups = {f"g{number}": Group(["other"]) for number in range(3)}
    (queue,) = look().values()
    assert admin.asked == ["groups", "g0", "g1"]
    assert queue.absent is None
