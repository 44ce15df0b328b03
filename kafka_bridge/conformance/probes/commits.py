"""What a group commits, and when."""

from __future__ import annotations

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import SLEEP
from kafka_bridge.conformance.probe import running
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import expect

LOOKS = 3
"""How many jobs are looked at: between a commit and a late event may be a moment only."""


@running(
    "L3-COMMIT-AFTER-END",
    "The terminal event is acknowledged before the request's offset is committed.",
)
def after_end(stage: Stage) -> None:
    """What is on the response topic as soon as one sees the commit."""
    for _ in range(LOOKS):
        job = stage.request(SLEEP, {"seconds": stage.patience.seconds(0.3)})
        location = stage.publish(job)
        stage.commits(location)
        stage.responses.catch_up()
        events = stage.events(job)
        expect(
            any(each.is_terminal for each in events),
            f"a terminal event before the request {location} is committed",
            f"it is committed, and {in_words(events)}",
            events[-1].record if events else None,
        )
        stage.end_of(job)
