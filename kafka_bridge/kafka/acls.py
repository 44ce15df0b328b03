"""What each side must be allowed to do, as the lines that Kafka's own ``kafka-acls`` takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kafka_bridge.kafka.config import GROUP_PREFIX
from kafka_bridge.kafka.topics import TopicNames


@dataclass(frozen=True, slots=True)
class Acl:
    """Leave for one principal to do some operations on one resource, and why it needs it."""

    principal: str
    operations: tuple[str, ...]
    resource: str  # "topic" or "group"
    name: str
    why: str
    prefixed: bool = False

    def command(self) -> str:
        """Return the line to run; kafka-acls also wants ``--bootstrap-server``."""
        pattern = " --resource-pattern-type prefixed" if self.prefixed else ""
        operations = " ".join(f"--operation {operation}" for operation in self.operations)
        return (
            f"kafka-acls --add --allow-principal '{self.principal}' {operations} "
            f"--{self.resource} '{self.name}'{pattern}"
        )


def airflow_acls(names: TopicNames, principal: str, worker_group: str) -> Iterable[Acl]:
    """Return what Airflow's workers and triggerers need."""
    yield Acl(principal, ("Write", "Describe"), "topic", names.requests, "publish job requests")
    yield Acl(principal, ("Read", "Describe"), "topic", names.requests, "look for a request again")
    yield Acl(principal, ("Read", "Describe"), "topic", names.responses, "wait for jobs")
    yield Acl(principal, ("Write", "Describe"), "topic", names.control, "cancel jobs")
    yield _readers(principal)
    yield Acl(principal, ("Describe",), "group", worker_group, "say why nobody takes a job")


def worker_acls(names: TopicNames, principal: str, worker_group: str) -> Iterable[Acl]:
    """Return what a service's workers, or gateways, need."""
    yield Acl(principal, ("Read", "Describe"), "topic", names.requests, "take jobs")
    yield Acl(principal, ("Read",), "group", worker_group, "share them out")
    yield Acl(principal, ("Write", "Describe"), "topic", names.responses, "answer")
    yield Acl(principal, ("Read", "Describe"), "topic", names.responses, "know what has finished")
    yield Acl(principal, ("Read", "Describe"), "topic", names.control, "hear of cancels")
    yield Acl(principal, ("Write", "Describe"), "topic", names.dead_letters, "set aside")
    yield _readers(principal)
    if names.callbacks is not None:
        yield Acl(principal, ("Write", "Describe"), "topic", names.callbacks, "keep callbacks")
        yield Acl(principal, ("Read", "Describe"), "topic", names.callbacks, "hear them")


def _readers(principal: str) -> Acl:
    return Acl(principal, ("Read",), "group", GROUP_PREFIX, "readers' own groups", prefixed=True)
