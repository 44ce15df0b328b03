"""Which consumer groups read the request topic, and how far behind they are."""

from __future__ import annotations

from collections.abc import Iterator

from kafka_bridge.findings import Finding, Level, error, ok, warning
from kafka_bridge.kafka.admin.diagnosis import QueueReport, diagnose
from kafka_bridge.kafka.config import KafkaConfig

LAG_ADVICE = (
    "If the lag does not become smaller, the workers are busy with earlier jobs, or stuck: look at "
    "their logs, or start more of them."
)


def consumers(
    config: KafkaConfig, topic: str, without_worker: Level, seconds: float
) -> Iterator[Finding]:
    """Yield which groups read a request topic.

    :param without_worker: the level of the finding that no worker reads it
    """
    yield from findings_about(diagnose(config, topic, seconds / 4), without_worker)


def findings_about(report: QueueReport, without_worker: Level) -> Iterator[Finding]:
    """Yield what a report on a request topic means.

    :param without_worker: the level of the finding that no worker reads it
    """
    at_work = [each for each in report.groups if each.members]
    if not report.exists:
        yield error(str(report))
    elif report.blind:
        yield warning(str(report))
    elif not at_work:
        is_known = bool(report.groups) or (report.sees_all and report.hidden is None)
        yield Finding(without_worker if is_known else Level.WARNING, str(report))
    else:
        groups = ", ".join(map(str, at_work))
        yield ok(groups, LAG_ADVICE if any(each.lag != 0 for each in at_work) else "")
    if len(at_work) > 1:
        yield warning(
            f"{len(at_work)} groups have members on topic {report.topic!r}: each group receives "
            "all jobs",
            "Give each service a request topic of its own, and all processes of a service the same "
            "group.",
        )
