"""``kafka-bridge jobs watch``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console, RenderableType
from rich.live import Live

from kafka_bridge.cli.command_group import App
from kafka_bridge.cli.connection import BootstrapServers, ConfigFile, kafka_config
from kafka_bridge.cli.job_views import job_facts, job_line, print_json
from kafka_bridge.cli.jobs.filters import (
    Dag,
    JobType,
    Run,
    States,
    Text,
    Worker,
    correlation_id,
    selection,
)
from kafka_bridge.cli.jobs.following import INTERRUPTED, FollowedJobs, exit_code, following
from kafka_bridge.cli.jobs.live_views import many_jobs, one_job
from kafka_bridge.cli.monitored import (
    AsJson,
    Control,
    Requests,
    Responses,
    Since,
    monitored_topics,
    require_topics,
)
from kafka_bridge.monitor.jobs import JobView
from kafka_bridge.monitor.selection import JobSelection
from kafka_bridge.protocol.errors import RecordGone
from kafka_bridge.protocol.messages import utc_now
from kafka_bridge.protocol.topics import CONTROL_TOPIC

PER_SECOND = 4
"""How often a terminal is drawn again."""

app = App()


@app.command()
def watch_jobs(
    job: Annotated[
        str | None,
        typer.Argument(
            metavar="ID",
            parser=correlation_id,
            help="The correlation id of a job; without it, all jobs are watched.",
            show_default=False,
        ),
    ] = None,
    states: States = None,
    job_type: JobType = None,
    dag: Dag = None,
    run: Run = None,
    worker: Worker = None,
    text: Text = None,
    since: Since = "24h",  # type: ignore[assignment]
    as_json: AsJson = False,
    requests: Requests = None,
    responses: Responses = None,
    control: Control = CONTROL_TOPIC,
    bootstrap_servers: BootstrapServers = None,
    config_file: ConfigFile = None,
) -> None:
    """Watch one job until it has ended, or all jobs until Ctrl-C.

    On a terminal the view is drawn again with each change. In a pipe each change is a line. With an
    id, the exit code is 0 if the job has succeeded, 1 if it has not, and 130 after Ctrl-C. The
    filters are for all jobs.
    """
    wanted = selection(states, job_type, dag, run, worker, text)
    config, topics = (
        kafka_config(bootstrap_servers, config_file),
        monitored_topics(requests, responses, control),
    )
    require_topics(config, topics)
    console = Console(highlight=False)
    is_drawn = console.is_terminal and not as_json
    with following(config, topics, since) as jobs:
        try:
            jobs.wait_until_caught_up()
            if job is None:
                _watch_all(jobs, wanted, console if is_drawn else None, as_json=as_json)
            else:
                ended = _watch_one(jobs, job, console if is_drawn else None, as_json=as_json)
        except KeyboardInterrupt:
            raise typer.Exit(0 if job is None else INTERRUPTED) from None
    raise typer.Exit(exit_code(ended))


def _watch_one(jobs: FollowedJobs, job: str, console: Console | None, *, as_json: bool) -> JobView:
    """Watch a job; return it when it has ended."""
    view = jobs.book.job(job)
    if view is None:
        raise RecordGone(
            f"nothing is known of job {job} since then: use an earlier --since, name other topics "
            "with --requests and --responses, or read all of them with "
            f"`kafka-bridge jobs show {job}`"
        )
    if console is None:
        say = _sayer(as_json=as_json)
        for view in jobs.of(job):
            say(view)
    else:
        shown = [view]
        with _live(console, lambda: one_job(shown[0], utc_now())):
            for view in jobs.of(job):
                shown[0] = view
    return view


def _watch_all(
    jobs: FollowedJobs, wanted: JobSelection, console: Console | None, *, as_json: bool
) -> None:
    """Watch all jobs until Ctrl-C."""
    if console is None:
        say = _sayer(as_json=as_json)
        for view in filter(wanted.includes, jobs.all()):
            say(view)
        return
    height = console.height
    with _live(
        console, lambda: many_jobs(filter(wanted.includes, jobs.book.jobs()), utc_now(), height)
    ):
        while True:
            jobs.wait(jobs.book.version)


def _live(console: Console, draw: Callable[[], RenderableType]) -> Live:
    """Return a context in which a terminal shows what is drawn again and again."""
    return Live(get_renderable=draw, console=console, refresh_per_second=PER_SECOND)


def _sayer(*, as_json: bool) -> Callable[[JobView], None]:
    """Return what prints a job, unless its line is the same as the one before."""
    last: dict[str, str] = {}

    def say(job: JobView) -> None:
        if as_json:
            print_json([job_facts(job)])
            return
        line = job_line(job)
        news = line.partition("  ")[2]
        if last.get(job.correlation_id) != news:
            typer.echo(line)
        last[job.correlation_id] = news
        if job.state.is_end:
            del last[job.correlation_id]

    return say
