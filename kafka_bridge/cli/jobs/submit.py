"""``kafka-bridge jobs submit``."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.durations import later
from kafka_bridge.cli.job_views import job_line
from kafka_bridge.cli.jobs.following import INTERRUPTED, exit_code, following
from kafka_bridge.cli.monitored import Control
from kafka_bridge.kafka.commands import cancel
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.job_events import with_skew
from kafka_bridge.kafka.offsets import end_offsets, read_record
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.reading import ANSWER_SECONDS, MonitoredTopics
from kafka_bridge.protocol import topics as default
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.encodings import CONTENT_TYPES, Encoding
from kafka_bridge.protocol.excerpts import excerpt
from kafka_bridge.protocol.headers import request_headers
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.media_types import JSON, from_json, is_json
from kafka_bridge.protocol.messages import JobRequest, StatusEvent, utc_now

STDIN = "-"

app = App()


def _payload(text: str) -> bytes:
    """Return the bytes that an option gives: ``@file``, ``@-`` for standard input, or text.

    :raises typer.BadParameter: the file cannot be read
    """
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    name = text[1:]
    if name == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{name!r} cannot be read: {error.strerror}") from error


def _encoding(text: str) -> Encoding:
    written = {str(each): each for each in CONTENT_TYPES}
    if text not in written:
        raise typer.BadParameter(f"expected {' or '.join(written)}, not {text!r}")
    return written[text]


@app.command()
def submit_job(
    job_type: Annotated[
        str, typer.Argument(metavar="TYPE", help="The job type, for example files.audit.")
    ],
    payload: Annotated[
        bytes | None,
        typer.Option(
            parser=_payload,
            metavar="TEXT|@FILE",
            help="The payload: the text itself, @ and the name of a file, or @- for standard "
            "input.",
        ),
    ] = None,
    payload_type: Annotated[
        str, typer.Option(metavar="TYPE", help="The media type of the payload.")
    ] = JSON,
    topic: Annotated[
        str,
        typer.Option(
            envvar="KAFKA_BRIDGE_REQUEST_TOPIC", metavar="TOPIC", help="The request topic."
        ),
    ] = default.REQUEST_TOPIC,
    responses: Annotated[
        str,
        typer.Option(
            "--responses",
            envvar="KAFKA_BRIDGE_RESPONSE_TOPIC",
            metavar="TOPIC",
            help="The response topic of the job.",
        ),
    ] = default.RESPONSE_TOPIC,
    expires: Annotated[
        datetime | None,
        typer.Option(
            "--expires",
            parser=later,
            metavar="TIME",
            help="The job fails if it has not started by then: 2h (from now), or "
            "2026-11-23T09:30 (UTC).",
        ),
    ] = None,
    deadline: Annotated[
        datetime | None,
        typer.Option(
            "--deadline",
            parser=later,
            metavar="TIME",
            help="The worker stops the job then if it has not ended; the same forms.",
        ),
    ] = None,
    encoding: Annotated[
        Encoding,
        typer.Option(
            parser=_encoding,
            metavar="ENCODING",
            help="How the request is written: avro or json. Workers answer in the same encoding.",
        ),
    ] = "avro",  # type: ignore[assignment]
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the job has ended, and print its result.")
    ] = False,
    cancel_on_interrupt: Annotated[
        bool,
        typer.Option("--cancel-on-interrupt", help="With --wait, Ctrl-C also cancels the job."),
    ] = False,
    control: Control = default.CONTROL_TOPIC,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Submit a job without Airflow, and print its correlation id.

    With --wait, the id and the progress go to standard error, and the result goes to standard
    output. The exit code is then 0 if the job has succeeded, 1 if it has not, and 130 after Ctrl-C.
    """
    if not job_type:
        raise typer.BadParameter("the job type must not be empty", param_hint="TYPE")
    config = kafka_config(bootstrap_servers, config_file)
    request = JobRequest(
        correlation_id=new_correlation_id(),
        job_type=job_type,
        payload=_checked(payload, payload_type),
        payload_type=None if payload is None else payload_type,
        response_topic=responses,
        created_at=utc_now(),
        expires_at=expires,
        deadline=deadline,
    )
    end_offsets(config, {topic, responses}, ANSWER_SECONDS)  # a missing topic is found before
    _publish(config, topic, request, encoding)
    typer.echo(request.correlation_id, err=wait)
    if wait:
        topics = MonitoredTopics([topic], [responses], control)
        raise typer.Exit(_wait(config, topics, request, cancel_on_interrupt=cancel_on_interrupt))


def _checked(payload: bytes | None, payload_type: str) -> bytes | None:
    if payload is not None and is_json(payload_type):
        try:
            from_json(payload)
        except ValueError as error:
            raise typer.BadParameter(
                f"it is not JSON ({error}). For other data, use --payload-type",
                param_hint="--payload",
            ) from error
    return payload


def _publish(config: KafkaConfig, topic: str, request: JobRequest, encoding: Encoding) -> None:
    with RecordProducer(config) as producer:
        producer.connect(topic)
        key, value = request.correlation_id.encode(), encode(request, encoding)
        producer.publish(topic, key, value, request_headers(request, encoding))


def _wait(
    config: KafkaConfig, topics: MonitoredTopics, request: JobRequest, *, cancel_on_interrupt: bool
) -> int:
    """Print progress until the job has ended, and then its result; return the exit code."""
    job = request.correlation_id
    try:
        with following(config, topics, with_skew(request.created_at)) as jobs:
            for view in jobs.of(job):
                typer.echo(job_line(view), err=True)
    except KeyboardInterrupt:
        if cancel_on_interrupt:
            cancel(config, topics.control, job, "interrupted", timeout=ANSWER_SECONDS)
            typer.echo(f"{job}: CANCEL sent", err=True)
        else:
            typer.echo(f"The job goes on: `kafka-bridge jobs watch {job}`", err=True)
        return INTERRUPTED
    _print_result(config, view)
    return exit_code(view)


def _print_result(config: KafkaConfig, job: JobView) -> None:
    """Print the result: on a terminal as it can be shown, else as it is."""
    assert job.last_event is not None  # noqa: S101  an ended job has one
    end = read_record(config, job.last_event, ANSWER_SECONDS).decode(StatusEvent)
    if end.result_ref is not None:
        typer.echo(end.result_ref.uri)
    if end.result is None:
        return
    if sys.stdout.isatty():
        for line in excerpt(end.result, len(end.result)):
            typer.echo(line)
    else:
        typer.echo(end.result, nl=is_json(end.result_type or ""))
