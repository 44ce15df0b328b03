"""``kafka-bridge workers list``."""

from __future__ import annotations

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.job_views import print_json, print_workers, worker_facts
from kafka_bridge.cli.monitored import (
    AsJson,
    Control,
    Responses,
    Since,
    Topics,
    monitored_topics,
    read_book,
)
from kafka_bridge.monitor.summaries import workers
from kafka_bridge.protocol.messages import utc_now
from kafka_bridge.protocol.topics import CONTROL_TOPIC

app = App(is_group=True)


@app.command("list")
def list_(
    topics: Topics = None,
    since: Since = "24h",  # type: ignore[assignment]
    as_json: AsJson = False,
    responses: Responses = None,
    control: Control = CONTROL_TOPIC,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """List the workers that have published events, with the number of their jobs.

    A silent worker has jobs but has published nothing for three heartbeat intervals. An idle one
    has no jobs: workers publish nothing then, so it may have stopped.
    """
    monitored = monitored_topics(topics, responses, control)
    book = read_book(kafka_config(bootstrap_servers, config_file), monitored, since)
    now = utc_now()
    found = workers(book.live_jobs(), book.worker_times(), now)
    if as_json:
        print_json(map(worker_facts, found))
    elif found:
        print_workers(found, now)
    else:
        typer.echo("No worker has published an event since then", err=True)
