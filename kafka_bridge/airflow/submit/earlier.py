"""What a task knows of its own earlier submissions: what their requests in Kafka say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kafka_bridge.airflow.kafka_access import KafkaAccess
from kafka_bridge.airflow.submit.requests import prefix_of
from kafka_bridge.airflow.submit.submission import Life, Submission, milliseconds
from kafka_bridge.kafka.lookups.job_lookup import requests_of
from kafka_bridge.protocol.errors import RecordLocation
from kafka_bridge.protocol.ids import correlation_id_from_key

if TYPE_CHECKING:
    from airflow.sdk.definitions.context import Context


@dataclass(frozen=True, slots=True)
class Earlier:
    """The requests of a task instance.

    ``submissions`` come with the correlation id of the request that says so, in the order in which
    they were submitted. ``published`` are the ids of all requests: a batch has many. ``places``
    says by correlation id where the requests with a submission lie.
    """

    submissions: list[tuple[str, Submission]]
    published: frozenset[str]
    places: Mapping[str, RecordLocation] = field(default_factory=dict)


def earlier_requests(kafka: KafkaAccess, topic: str, context: Context) -> Earlier:
    """Return the requests of a task instance that are in the request topic.

    :raises KafkaError: the topic cannot be read
    """
    found, places, published = dict[str, Submission](), dict[str, RecordLocation](), set[str]()
    prefix = prefix_of(context["ti"])
    for record in requests_of(kafka.config, topic, prefix, _since(context), kafka.timeout):
        job = correlation_id_from_key(record.key)
        if job is None:
            continue
        published.add(job)
        submission = Submission.of_headers(record.headers)
        if submission is not None:
            found[job] = submission
            places.setdefault(job, record.location)
    ordered = sorted(found.items(), key=lambda each: each[1].order)
    return Earlier(ordered, frozenset(published), places)


def life_of(context: Context) -> Life:
    """Return the life of a task instance now."""
    return milliseconds(context["dag_run"].start_date), context["ti"].max_tries


def why_another_life(submission: Submission, context: Context) -> str | None:
    """Return why a submission belongs to another life of the task instance; None if it does not."""
    (run_began, max_tries), now = submission.life, life_of(context)
    if max_tries != now[1]:
        return "the task was cleared"
    return None if run_began == now[0] else "the DAG run began again"


def _since(context: Context) -> datetime:
    """Return when the task instance can have submitted something first.

    A run that was never cleared has submitted nothing before its start. ``run_after`` stays the
    same when a run is cleared, but it may be years ago, as in a backfill.
    """
    run: Any = context["dag_run"]
    first: datetime | None = run.run_after if run.clear_number else run.start_date
    now = datetime.now(UTC)
    return now if first is None else min(first, now)
