"""The checks of Airflow's side, in the order in which one depends on another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from kafka_bridge.airflow.checkup import deployment, installation
from kafka_bridge.airflow.checkup.connection import ConnectionLookup
from kafka_bridge.airflow.checkup.options import options
from kafka_bridge.airflow.checkup.triggerer import triggerer
from kafka_bridge.airflow.settings import configured
from kafka_bridge.findings import Check, Level, failed, warning
from kafka_bridge.kafka.admin.acls import airflow_acls, principal_of
from kafka_bridge.kafka.admin.checkup.sequence import (
    UNKNOWN_GROUP,
    Needs,
    kafka_checks,
    on_known_groups,
)
from kafka_bridge.kafka.admin.checkup.versions import versions
from kafka_bridge.kafka.admin.topics import TopicNames, plan_topics
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError

NO_CONNECTION = "not checked, because Airflow's connection is not known"


def airflow_checks(longest_job: timedelta, longest_wait: timedelta) -> Iterator[Check]:
    """Yield the checks of Airflow's side. Run each one before the next one is taken.

    :param longest_job: the longest time that a job runs
    :param longest_wait: the longest time that a job is queued
    """
    yield Check("versions", versions)
    yield Check("Airflow", installation.versions)
    yield Check("provider", installation.provider)
    yield Check("plugin", installation.plugin)
    yield Check("[kafka_bridge]", options)
    yield Check("waiting tasks", deployment.waiting)
    yield Check("XCom", deployment.xcom)
    yield Check("triggerer", triggerer)
    name = configured("kafka_config_id")
    lookup = ConnectionLookup(name)
    yield Check(f"connection {name!r}", lookup.check)
    if lookup.config is None:
        yield Check("Kafka", lambda _: [warning(NO_CONNECTION)])
        return
    try:
        needs = _needs(lookup.config, longest_job, longest_wait)
    except ConfigurationError as failure:
        problem = failed(failure)
        yield Check("configuration", lambda _: [problem])
    else:
        yield from kafka_checks(lookup.config, needs)


def _needs(config: KafkaConfig, longest_job: timedelta, longest_wait: timedelta) -> Needs:
    names = TopicNames(
        configured("request_topic"), configured("response_topic"), configured("control_topic")
    )
    plans = plan_topics(names, longest_job=longest_job, longest_wait=longest_wait)
    acls = airflow_acls(names, principal_of(config), UNKNOWN_GROUP, config.reader_prefix)
    return Needs(
        [plan for plan in plans if plan.name != names.dead_letters],
        on_known_groups(acls),
        names.requests,
        names.responses,
        Level.ERROR,  # Airflow's jobs need a worker
    )
