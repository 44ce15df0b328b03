"""``kafka-bridge dead-letters list | show | replay``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.dead_letter_views import print_json, print_letter, print_table
from kafka_bridge.cli.durations import moment
from kafka_bridge.kafka.admin.dead_letter_topic import (
    DeadLetter,
    Selection,
    dead_letters_at,
    parse_location,
    read_dead_letters,
)
from kafka_bridge.kafka.admin.replay import Refusal, Replay, plan_replays
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError, KafkaError
from kafka_bridge.protocol.ids import is_correlation_id

app = App()

DEFAULT_LIMIT = 100

Topic = Annotated[
    str,
    typer.Option(
        envvar="KAFKA_BRIDGE_DEAD_LETTER_TOPIC", metavar="TOPIC", help="The dead-letter topic."
    ),
]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=moment,
        metavar="TIME",
        help="Only dead letters since then: 2h, 7d, or 2026-11-23T09:30 (UTC).",
    ),
]
JobType = Annotated[
    str | None, typer.Option(metavar="TYPE", help="Only dead letters of this job type.")
]
CorrelationId = Annotated[
    str | None, typer.Option(metavar="ID", help="Only dead letters of this job.")
]
_SHOWN = typer.Option(min=1, help="Show only the newest N.", metavar="N")
_REPLAYED = typer.Option(min=1, help="Replay only the newest N.", metavar="N")
LOCATION = "The dead letter as partition@offset, as in the list, e.g. 0@17."
Locations = Annotated[list[str] | None, typer.Argument(metavar="LOCATION", help=LOCATION)]
Every = Annotated[
    bool, typer.Option("--all", help="Replay all dead letters that match the filters.")
]
To = Annotated[
    str | None,
    typer.Option(
        metavar="TOPIC", help="The topic to send to, instead of each one's original topic."
    ),
]
AsNew = Annotated[
    bool, typer.Option("--as-new", help="Submit finished jobs again under a new correlation id.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


@app.command("list")
def list_(
    topic: Topic = default.DEAD_LETTER_TOPIC,
    since: Since = None,
    job_type: JobType = None,
    correlation_id: CorrelationId = None,
    limit: Annotated[int, _SHOWN] = DEFAULT_LIMIT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, for scripts.")
    ] = False,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """List dead letters, oldest first, with their origin and their error."""
    selection = _selection(since, job_type, correlation_id, limit)
    letters = read_dead_letters(kafka_config(bootstrap_servers, config_file), topic, selection)
    if as_json:
        print_json(letters)
    elif letters:
        print_table(letters)
        if len(letters) == limit:
            typer.echo(f"Only the newest {limit} are shown. Use --limit to show more.", err=True)
    else:
        typer.echo(_no_letters(topic, selection), err=True)


@app.command()
def show(
    location: Annotated[str, typer.Argument(metavar="LOCATION", help=LOCATION)],
    topic: Topic = default.DEAD_LETTER_TOPIC,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Show one dead letter: its headers, its request and the beginning of its payload."""
    config = kafka_config(bootstrap_servers, config_file)
    (letter,) = dead_letters_at(config, [parse_location(location, topic)])
    print_letter(letter)


@app.command()
def replay(
    locations: Locations = None,
    every: Every = False,
    topic: Topic = default.DEAD_LETTER_TOPIC,
    since: Since = None,
    job_type: JobType = None,
    correlation_id: CorrelationId = None,
    limit: Annotated[int | None, _REPLAYED] = None,
    to: To = None,
    as_new: AsNew = False,
    yes: Yes = False,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Send dead letters back to their original topic, unchanged.

    They also stay in the dead-letter topic. A job that is finished is not sent again, because
    workers would skip it. With --as-new it is submitted once as a new job, which no task waits for.
    """
    selection = _selection(since, job_type, correlation_id, limit)
    config = kafka_config(bootstrap_servers, config_file)
    letters = _selected(config, locations or [], topic, selection, every=every)
    if not letters:
        typer.echo(_no_letters(topic, selection), err=True)
        return
    plan = plan_replays(config, letters, to=to, as_new=as_new)
    replays = [each for each in plan if isinstance(each, Replay)]
    refusals = [each for each in plan if isinstance(each, Refusal)]
    _print_refusals(refusals)
    if every and not yes and replays:
        typer.confirm(f"Replay {len(replays)} of {len(letters)} dead letters?", abort=True)
    failed = _send(config, replays)
    if refusals or failed:
        typer.echo(f"{len(replays) - failed} of {len(letters)} replayed.", err=True)
        raise typer.Exit(1)


def _selection(
    since: datetime | None, job_type: str | None, correlation_id: str | None, limit: int | None
) -> Selection:
    if correlation_id is not None and not is_correlation_id(correlation_id):
        raise ConfigurationError(
            f"{correlation_id!r} is not a correlation id: expected a UUID in lower case"
        )
    return Selection(since, job_type, correlation_id, limit)


def _selected(
    config: KafkaConfig, locations: Sequence[str], topic: str, selection: Selection, *, every: bool
) -> list[DeadLetter]:
    if every == bool(locations):
        raise ConfigurationError("give either locations of dead letters, or --all")
    if every:
        return read_dead_letters(config, topic, selection)
    if selection != Selection():
        raise ConfigurationError("filters can be used with --all only, not with locations")
    return dead_letters_at(config, [parse_location(text, topic) for text in locations])


def _no_letters(topic: str, selection: Selection) -> str:
    filtered = selection not in (Selection(), Selection(limit=selection.limit))
    return f"No dead letters in {topic}" + (" match the filters." if filtered else ".")


def _print_refusals(refusals: Iterable[Refusal]) -> None:
    for refusal in refusals:
        why = ": ".join(filter(None, (refusal.reason, refusal.advice)))
        typer.echo(f"{refusal.letter.record.location} not replayed: {why}", err=True)


def _send(config: KafkaConfig, replays: Sequence[Replay]) -> int:
    """Send all dead letters and print the outcome of each; return how many failed."""
    failed = 0
    with RecordProducer(config) as producer:
        if replays:
            producer.connect(replays[0].topic)
        sent = [(each, each.send(producer)) for each in replays]
        for replayed, outcome in sent:
            location = replayed.letter.record.location
            try:
                typer.echo(f"{location} → {outcome.result()}{_job(replayed)}")
            except KafkaError as error:
                typer.echo(f"{location} not replayed: {error}", err=True)
                failed += 1
    return failed


def _job(replayed: Replay) -> str:
    if replayed.new_job is not None:
        return f" as new job {replayed.new_job}"
    job = replayed.letter.correlation_id
    return "" if job is None else f" (job {job})"
