"""``kafka-bridge dead-letters list | show | replay``."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from kafka_bridge.cli.durations import moment
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.errors import ConfigurationError, KafkaError
from kafka_bridge.protocol.ids import is_correlation_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kafka_bridge.kafka.admin.dead_letter_topic import DeadLetter, Selection
    from kafka_bridge.kafka.admin.replay import Refusal, Replay
    from kafka_bridge.kafka.config import KafkaConfig

dead_letters = typer.Typer(
    help="Look at requests that were set aside, and send them again.", no_args_is_help=True
)

LISTED = 100
"""How many letters a list shows unless told otherwise."""

Topic = Annotated[
    str, typer.Option(help="The dead-letter topic.", envvar="KAFKA_BRIDGE_DEAD_LETTER_TOPIC")
]
Since = Annotated[
    datetime | None,
    typer.Option(
        parser=moment, metavar="TIME", help="Set aside since: 2h, 7d, or 2026-11-23T09:30 (UTC)."
    ),
]
JobType = Annotated[str | None, typer.Option(help="Of this job type only.")]
CorrelationId = Annotated[str | None, typer.Option(help="Of this job only.")]
_NEWEST = typer.Option(min=1, help="No more than the newest so many.")
PLACE = "partition@offset, as the list shows it: 0@17."
To = Annotated[str | None, typer.Option(help="Send to this topic, not where each came from.")]
AsNew = Annotated[
    bool, typer.Option("--as-new", help="Submit jobs that have ended under a new id.")
]


@dead_letters.command("list")
def list_(
    topic: Topic = default.DEAD_LETTER_TOPIC,
    since: Since = None,
    job_type: JobType = None,
    correlation_id: CorrelationId = None,
    limit: Annotated[int, _NEWEST] = LISTED,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, for scripts.")
    ] = False,
) -> None:
    """List the dead letters, oldest first: where each lies, what it was, and what was wrong."""
    from kafka_bridge.cli.dead_letter_views import print_json, print_table
    from kafka_bridge.kafka.admin.dead_letter_topic import read_dead_letters
    from kafka_bridge.kafka.config import KafkaConfig

    selection = _selection(since, job_type, correlation_id, limit)
    letters = read_dead_letters(KafkaConfig.from_env(), topic, selection)
    if as_json:
        print_json(letters)
    elif letters:
        print_table(letters)
        if len(letters) == limit:
            typer.echo(f"These are the newest {limit}: there may be more, see --limit.", err=True)
    else:
        typer.echo(_nothing(topic, selection), err=True)


@dead_letters.command()
def show(
    place: Annotated[str, typer.Argument(help=PLACE)],
    topic: Topic = default.DEAD_LETTER_TOPIC,
) -> None:
    """Show one dead letter: its headers, the request in it, and how its payload begins."""
    from kafka_bridge.cli.dead_letter_views import print_letter
    from kafka_bridge.kafka.admin.dead_letter_topic import dead_letters_at, parse_place
    from kafka_bridge.kafka.config import KafkaConfig

    (letter,) = dead_letters_at(KafkaConfig.from_env(), [parse_place(place, topic)])
    print_letter(letter)


@dead_letters.command()
def replay(
    places: Annotated[list[str] | None, typer.Argument(metavar="PLACE", help=PLACE)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that the filters leave.")] = False,
    topic: Topic = default.DEAD_LETTER_TOPIC,
    since: Since = None,
    job_type: JobType = None,
    correlation_id: CorrelationId = None,
    limit: Annotated[int | None, _NEWEST] = None,
    to: To = None,
    as_new: AsNew = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to go on.")] = False,
) -> None:
    """Send dead letters back to the topic they came from, as they were.

    They stay among the dead letters, too. A finished job is not sent again, because workers
    would skip it; --as-new submits it as a new job, once. No task waits for a new job.
    """
    from kafka_bridge.kafka.admin.replay import Refusal, Replay, plan_replays
    from kafka_bridge.kafka.config import KafkaConfig

    selection = _selection(since, job_type, correlation_id, limit)
    config = KafkaConfig.from_env()
    letters = _chosen(config, places or [], topic, selection, every=every)
    if not letters:
        typer.echo(_nothing(topic, selection), err=True)
        return
    plan = plan_replays(config, letters, to=to, as_new=as_new)
    replays = [each for each in plan if isinstance(each, Replay)]
    refusals = [each for each in plan if isinstance(each, Refusal)]
    _print_refusals(refusals)
    if every and not yes and replays:
        typer.confirm(f"Replay {len(replays)} of {len(letters)} dead letters?", abort=True)
    failed = _send(config, replays)
    if refusals or failed:
        typer.echo(f"{len(replays) - failed} of {len(letters)} were replayed.", err=True)
        raise typer.Exit(1)


def _selection(
    since: datetime | None, job_type: str | None, correlation_id: str | None, limit: int | None
) -> Selection:
    from kafka_bridge.kafka.admin.dead_letter_topic import Selection

    if correlation_id is not None and not is_correlation_id(correlation_id):
        raise ConfigurationError(
            f"{correlation_id!r} is no correlation id: that is UUID text in lower case"
        )
    return Selection(since, job_type, correlation_id, limit)


def _chosen(
    config: KafkaConfig, places: Sequence[str], topic: str, selection: Selection, *, every: bool
) -> list[DeadLetter]:
    from kafka_bridge.kafka.admin.dead_letter_topic import (
        Selection,
        dead_letters_at,
        parse_place,
        read_dead_letters,
    )

    if every == bool(places):
        raise ConfigurationError("name the places of the letters to replay, or --all: one of both")
    if every:
        return read_dead_letters(config, topic, selection)
    if selection != Selection():
        raise ConfigurationError(
            "filters go with --all: places say already which letters are meant"
        )
    return dead_letters_at(config, [parse_place(text, topic) for text in places])


def _nothing(topic: str, selection: Selection) -> str:
    from kafka_bridge.kafka.admin.dead_letter_topic import Selection

    filtered = selection not in (Selection(), Selection(limit=selection.limit))
    return f"No dead letter in {topic}" + (" passes the filters." if filtered else ".")


def _print_refusals(refusals: Iterable[Refusal]) -> None:
    for refusal in refusals:
        place = refusal.letter.record.location
        typer.echo(f"{place} is not replayed: {refusal.reason}", err=True)


def _send(config: KafkaConfig, replays: Sequence[Replay]) -> int:
    """Send them all and say of each what came of it; return how many failed."""
    from kafka_bridge.kafka.producer import RecordProducer

    failed = 0
    with RecordProducer(config) as producer:
        sent = [(each, each.send(producer)) for each in replays]
        for replayed, outcome in sent:
            place = replayed.letter.record.location
            try:
                typer.echo(f"{place} → {outcome.result()}{_as_job(replayed)}")
            except KafkaError as error:
                typer.echo(f"{place} is not replayed: {error}", err=True)
                failed += 1
    return failed


def _as_job(replayed: Replay) -> str:
    if replayed.new_job is not None:
        return f" as new job {replayed.new_job}"
    job = replayed.letter.correlation_id
    return "" if job is None else f" (job {job})"
