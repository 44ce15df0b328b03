"""Changes users and ACLs of a test broker, and waits until they are in force."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)

from kafka_bridge.testing.brokers.errors import BrokerError
from kafka_bridge.testing.brokers.topics import POLL_INTERVAL, REQUEST_TIMEOUT, admin_client

ITERATIONS = 4096
"""Iterations of SCRAM: the minimum that Kafka accepts."""

IN_FORCE_TIMEOUT = 15.0
"""Seconds until a change must be in force; usually less than 0.1."""

_MECHANISMS = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "cluster": ResourceType.BROKER,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    operation.name.replace("_", "").lower(): operation
    for operation in AclOperation
    if operation is not AclOperation.UNKNOWN
}


def add_user(servers: str, name: str, password: str) -> None:
    """Make a user for both SCRAM mechanisms, or change its password."""
    admin = admin_client(servers)
    for mechanism in _MECHANISMS:
        info = ScramCredentialInfo(mechanism, ITERATIONS)
        _alter(admin, UserScramCredentialUpsertion(name, info, password.encode()))
    _until(lambda: _has_user(admin, name), f"user {name!r} exists")


def remove_user(servers: str, name: str) -> None:
    """Remove a user with both its SCRAM credentials."""
    admin = admin_client(servers)
    for mechanism in _MECHANISMS:
        _alter(admin, UserScramCredentialDeletion(name, mechanism))
    _until(lambda: not _has_user(admin, name), f"user {name!r} is removed")


def _alter(admin: AdminClient, change: Any) -> None:
    # One at a time: Kafka takes no two changes of a user in one request.
    _results(admin.alter_user_scram_credentials([change], request_timeout=REQUEST_TIMEOUT))


def _has_user(admin: AdminClient, name: str) -> bool:
    answers: Any = admin.describe_user_scram_credentials([name], request_timeout=REQUEST_TIMEOUT)
    try:
        found = answers[name].result()
    except KafkaException:  # RESOURCE_NOT_FOUND
        return False
    return len(found.scram_credential_infos) == len(_MECHANISMS)


def bindings(
    name: str, resource: str, pattern: str, operations: Iterable[str], *, prefixed: bool
) -> list[AclBinding]:
    """Return the ACLs that allow a user these operations, from any host.

    Raises BrokerError for a resource or an operation that Kafka does not know.
    """
    kind = _RESOURCES.get(resource)
    if kind is None:
        raise BrokerError(f"unknown resource {resource!r}: use one of {', '.join(_RESOURCES)}")
    how = ResourcePatternType.PREFIXED if prefixed else ResourcePatternType.LITERAL
    return [
        AclBinding(
            kind,
            pattern,
            how,
            f"User:{name}",
            "*",
            _operation(operation),
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]


def _operation(name: str) -> AclOperation:
    found = _OPERATIONS.get(name.lower())
    if found is None:
        raise BrokerError(f"unknown operation {name!r}: Kafka has Read, Write, Describe, …")
    return found


def allow(servers: str, wanted: list[AclBinding]) -> None:
    """Create ACLs; return when they are in force."""
    admin = admin_client(servers)
    _results(admin.create_acls(wanted, request_timeout=REQUEST_TIMEOUT))
    _until(lambda: all(_matching(admin, each) for each in wanted), "the ACLs are in force")


def disallow(servers: str, unwanted: list[AclBinding]) -> None:
    """Remove ACLs; return when they are no longer in force."""
    admin = admin_client(servers)
    filters = [_filter(each) for each in unwanted]
    _results(admin.delete_acls(filters, request_timeout=REQUEST_TIMEOUT))
    _until(lambda: not any(_matching(admin, each) for each in unwanted), "the ACLs are gone")


def disallow_all(servers: str, name: str) -> None:
    """Remove all ACLs of a user."""
    admin = admin_client(servers)
    everything = AclBindingFilter(
        ResourceType.ANY,
        None,  # type: ignore[arg-type]  # any name
        ResourcePatternType.ANY,
        f"User:{name}",
        None,  # type: ignore[arg-type]  # any host
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    _results(admin.delete_acls([everything], request_timeout=REQUEST_TIMEOUT))
    _until(lambda: not _found(admin, everything), f"the ACLs of {name!r} are gone")


def _matching(admin: AdminClient, binding: AclBinding) -> list[AclBinding]:
    return _found(admin, _filter(binding))


def _found(admin: AdminClient, wanted: AclBindingFilter) -> list[AclBinding]:
    found: list[AclBinding] = admin.describe_acls(wanted, request_timeout=REQUEST_TIMEOUT).result()
    return found


def _filter(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )


def _results(answers: dict[Any, Future[Any]]) -> None:
    for what, answer in answers.items():
        try:
            answer.result()
        except KafkaException as error:
            raise BrokerError(f"the broker refused {what}: {error.args[0].str()}") from error


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + IN_FORCE_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise BrokerError(f"not within {IN_FORCE_TIMEOUT:.0f} s: {what}")
        time.sleep(POLL_INTERVAL)
