"""The options of all commands that show jobs, and the reading of what they ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import typer

from kafka_bridge.cli.durations import moment
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.monitor.book import JobBook, Limits
from kafka_bridge.monitor.intake import Intake, TopicKind
from kafka_bridge.monitor.reading import (
    ANSWER_SECONDS,
    HistoryReading,
    MonitoredTopics,
    TopicProgress,
)
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import AccessDenied, TopicNotFound

MOST_JOBS = 200_000
"""How many jobs that have ended, and how many others, a command keeps in memory: about 300 MB."""

_ANY_AGE = timedelta(days=36_500)

Topics = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TOPIC",
        envvar="KAFKA_BRIDGE_REQUEST_TOPIC",
        help="The request topics.",
        show_default=default.REQUEST_TOPIC,
    ),
]
Requests = Annotated[
    list[str] | None,
    typer.Option(
        "--requests",
        envvar="KAFKA_BRIDGE_REQUEST_TOPIC",
        metavar="TOPIC",
        help="A request topic; repeat the option for more.",
        show_default=default.REQUEST_TOPIC,
    ),
]
Responses = Annotated[
    list[str] | None,
    typer.Option(
        "--responses",
        envvar="KAFKA_BRIDGE_RESPONSE_TOPIC",
        metavar="TOPIC",
        help="A response topic; repeat the option for more. Those that requests name are read, "
        "too.",
        show_default=default.RESPONSE_TOPIC,
    ),
]
Control = Annotated[
    str,
    typer.Option(
        "--control",
        envvar="KAFKA_BRIDGE_CONTROL_TOPIC",
        metavar="TOPIC",
        help="The control topic.",
    ),
]
DeadLetters = Annotated[
    list[str] | None,
    typer.Option(
        "--dead-letters",
        envvar="KAFKA_BRIDGE_DEAD_LETTER_TOPIC",
        metavar="TOPIC",
        help="A dead-letter topic; repeat the option for more.",
        show_default=default.DEAD_LETTER_TOPIC,
    ),
]
Since = Annotated[
    datetime,
    typer.Option(
        parser=moment,
        metavar="TIME",
        help="Only jobs with a request or an event since then: 2h, 7d, or 2026-11-23T09:30 (UTC).",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")
]


def monitored_topics(
    requests: Sequence[str] | None,
    responses: Sequence[str] | None,
    control: str,
    dead_letters: Sequence[str] | None = None,
) -> MonitoredTopics:
    """Return the topics that the options name."""
    return MonitoredTopics(
        requests or (default.REQUEST_TOPIC,),
        responses or (default.RESPONSE_TOPIC,),
        control,
        dead_letters or (default.DEAD_LETTER_TOPIC,),
    )


def require_topics(config: KafkaConfig, topics: MonitoredTopics) -> None:
    """Check that the request topics can be read, before all topics are waited for.

    :raises TopicNotFound: one does not exist
    :raises AccessDenied: one may not be read
    :raises BrokerUnreachable: no broker answers
    """
    end_offsets(config, topics.requests, ANSWER_SECONDS)


def read_book(config: KafkaConfig, topics: MonitoredTopics, since: datetime) -> JobBook:
    """Return a book of the jobs since a time. What is missing in it is said on standard error.

    :raises KafkaError: as :func:`require_topics`; or another topic may not be read
    """
    require_topics(config, topics)
    book = JobBook(Limits(live=MOST_JOBS, ended=MOST_JOBS, live_age=_ANY_AGE, ended_age=_ANY_AGE))
    intake = Intake(book)
    for progress in HistoryReading(config, intake, since).read(topics.kinds()):
        say_what_is_missing(progress, intake.undecodable[progress.topic])
    counts = book.counts
    if dropped := counts.dropped_ended + counts.dropped_live:
        typer.echo(
            f"{dropped:,} older jobs are left out: there are too many. Use a later --since",
            err=True,
        )
    return book


def say_what_is_missing(progress: TopicProgress, undecodable: int) -> None:
    """Say on standard error why a topic was not read, or not all of it.

    :raises AccessDenied: it may not be read
    """
    topic, failure = progress.topic, progress.failure
    if isinstance(failure, AccessDenied):
        raise failure
    if isinstance(failure, TopicNotFound) and progress.kind is TopicKind.CONTROL:
        return  # nobody has cancelled a job yet
    if failure is not None:
        typer.echo(f"Topic {topic} is not read: {failure}", err=True)
    if undecodable:
        typer.echo(f"{undecodable:,} records of topic {topic} cannot be decoded", err=True)
    if progress.unreadable:
        typer.echo(
            f"{progress.unreadable:,} records of topic {topic} were skipped: their batches cannot "
            "be unpacked",
            err=True,
        )
