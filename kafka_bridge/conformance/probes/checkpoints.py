"""What earlier deliveries have saved."""

from __future__ import annotations

from collections.abc import Iterator

from kafka_bridge.conformance.events import in_words
from kafka_bridge.conformance.job_types import ECHO, SLEEP
from kafka_bridge.conformance.probe import prepared
from kafka_bridge.conformance.stage import Stage
from kafka_bridge.conformance.unmet import expect
from kafka_bridge.protocol.checkpoint import CHECKPOINT, CHECKPOINT_BYTES, CLEARED
from kafka_bridge.protocol.messages import JobRequest, JobState

_PAGE = '{"page": 7}'
_TOO_LONG = '"' + "x" * CHECKPOINT_BYTES + '"'
_SAID: dict[str, tuple[list[tuple[int, str | None]], str | None]] = {
    "saved, then had by a worker that does not know it": ([(1, _PAGE), (2, None)], _PAGE),
    "cleared": ([(1, _PAGE), (1, CLEARED)], CLEARED),
    "not JSON": ([(1, "{page")], "{page"),
    "overtaken": ([(2, _PAGE), (1, "8")], _PAGE),
    "too long": ([(1, _TOO_LONG)], None),
}
"""By payload: deliveries with the checkpoint of an event, and the checkpoint that counts."""


@prepared(
    "L3-CHECKPOINT",
    "A worker repeats the last checkpoint of a job in every event but the terminal one.",
)
def checkpoint(stage: Stage) -> Iterator[None]:
    """Jobs that other workers had before, with all kinds of checkpoints."""
    jobs = {words: stage.request(ECHO, words) for words in _SAID}
    interval = stage.patience.seconds(0.5)
    long = stage.request(
        SLEEP, {"seconds": 2 * interval}, heartbeat_interval_ms=int(interval * 1000)
    )
    for words, (said, _) in _SAID.items():
        stage.publish(jobs[words])
        for delivery, text in said:
            _tell(stage, jobs[words], delivery, text)
    stage.publish(long)
    _tell(stage, long, 1, _PAGE)
    yield
    for words, (_, counts) in _SAID.items():
        check_repeated(stage, jobs[words], counts)
    check_repeated(stage, long, _PAGE, stage.patience.soon + 2 * interval)


def _tell(stage: Stage, job: JobRequest, delivery: int, text: str | None) -> None:
    attributes = {} if text is None else {CHECKPOINT: text}
    stage.tell(job, JobState.RUNNING, delivery=delivery, attributes=attributes)


def check_repeated(
    stage: Stage, job: JobRequest, text: str | None, seconds: float | None = None
) -> None:
    """Check that the events of a job have a checkpoint until the job has ended.

    :param seconds: how long the job may take
    """
    stage.ends_as(job, JobState.SUCCEEDED, seconds)
    events = stage.events(job)
    expect(len(events) > 1, "ACCEPTED, or another event, before the end", in_words(events))
    for each in events:
        wanted = None if each.is_terminal else text
        found = each.status.attributes.get(CHECKPOINT)
        expect(
            found == wanted,
            f"{each.state} with {'no checkpoint' if wanted is None else f'checkpoint {wanted}'}",
            "it has none" if found is None else f"it is {found:.80}",
            each.record,
        )
