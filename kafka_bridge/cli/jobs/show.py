"""``kafka-bridge jobs show``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.durations import moment
from kafka_bridge.cli.job_views import print_json
from kafka_bridge.cli.jobs.filters import correlation_id
from kafka_bridge.cli.jobs.timeline_views import print_timeline, timeline_facts
from kafka_bridge.cli.monitored import (
    AsJson,
    Control,
    Requests,
    Responses,
    monitored_topics,
    require_topics,
)
from kafka_bridge.monitor.lookup import read_job
from kafka_bridge.protocol.errors import RecordGone, TopicNotFound
from kafka_bridge.protocol.topics import CONTROL_TOPIC

app = App()


@app.command()
def show_job(
    job: Annotated[
        str,
        typer.Argument(metavar="ID", parser=correlation_id, help="The correlation id of the job."),
    ],
    with_payload: Annotated[bool, typer.Option("--payload", help="Show the payload, too.")] = False,
    with_result: Annotated[bool, typer.Option("--result", help="Show the result, too.")] = False,
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=moment,
            metavar="TIME",
            help="Read the topics from this time on, not from their beginning: 2h, 7d, or "
            "2026-11-23T09:30 (UTC).",
        ),
    ] = None,
    as_json: AsJson = False,
    requests: Requests = None,
    responses: Responses = None,
    control: Control = CONTROL_TOPIC,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Show everything that the topics hold of one job: its request, its events and its end.

    An event that changed nothing is marked as stale: it is of an older delivery, or came after the
    end. The exit code is 1 if nothing is known of the job.
    """
    config = kafka_config(bootstrap_servers, config_file)
    topics = monitored_topics(requests, responses, control)
    require_topics(config, topics)
    found = read_job(config, job, topics, since)
    if found is None:
        raise RecordGone(
            f"nothing is known of job {job}: topics {', '.join(topics.requests)} and "
            f"{', '.join(topics.responses)} have no record of it. Name other topics with "
            "--requests and --responses, or retention has removed its records"
        )
    for topic, failure in found.failures.items():
        if topic != control or not isinstance(failure, TopicNotFound):
            typer.echo(f"Topic {topic} is not read: {failure}", err=True)
    if as_json:
        print_json([timeline_facts(found, with_payload=with_payload, with_result=with_result)])
    else:
        print_timeline(found, with_payload=with_payload, with_result=with_result)
