"""The same request, published twice."""

from __future__ import annotations

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import ECHO, SLEEP
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import expect
from kafka_bridge.protocol.messages import JobRequest, JobState


def check_once(stage: Stage, job: JobRequest) -> None:
    """Check that a job was run once, and has one end."""
    events = stage.events(job)
    ends = [each for each in events if each.is_terminal]
    expect(len(ends) == 1, "one terminal event", in_words(events), events[-1].record)
    accepted = [each for each in events if each.state is JobState.ACCEPTED]
    expect(len(accepted) <= 1, "one ACCEPTED", in_words(events), events[-1].record)
    started = stage.started(job)
    expect(started <= 1, "one start", f"the handler was called {started} times")


@running("L3-DUPLICATE-RUNNING", "A request that is published twice is run once.")
def while_running(stage: Stage) -> None:
    """The same request again, while the first one runs."""
    job = stage.request(SLEEP, {"seconds": stage.patience.seconds(2.0)})
    stage.publish(job)
    stage.running(job)
    again = stage.publish(job)
    stage.ends_as(job, JobState.SUCCEEDED)
    stage.commits(again)
    stage.silent()
    check_once(stage, job)


@running("L3-DUPLICATE-FINISHED", "The request of a finished job is committed without an event.")
def finished(stage: Stage) -> None:
    """The same request again, after the end."""
    job = stage.request(ECHO, "twice")
    stage.outcome(job, JobState.SUCCEEDED)
    again = stage.publish(job)
    stage.overtaken(job)
    stage.commits(again)
    stage.silent()
    check_once(stage, job)
