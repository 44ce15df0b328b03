"""``kafka-bridge queues list``."""

from __future__ import annotations

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.job_views import print_json, print_services, service_facts
from kafka_bridge.cli.monitored import (
    AsJson,
    Control,
    Responses,
    Since,
    Topics,
    monitored_topics,
    read_book,
)
from kafka_bridge.monitor.summaries import services
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
    """Show for each request topic how many jobs wait and run, and how fast they end.

    Rates are of the last 15 minutes, and so are the durations: the median and the 95th percentile
    of the time that jobs waited for a worker, and of the time that they ran.
    """
    monitored = monitored_topics(topics, responses, control)
    book = read_book(kafka_config(bootstrap_servers, config_file), monitored, since)
    now = utc_now()
    found = services(book.jobs(), now, monitored.requests)
    if as_json:
        print_json(map(service_facts, found))
    else:
        print_services(found, now)
