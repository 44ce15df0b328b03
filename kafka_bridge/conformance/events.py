"""The status events of a job, with the records that carry them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kafka_bridge.kafka.records import Record
from kafka_bridge.protocol.errors import RemoteProtocolError
from kafka_bridge.protocol.lifecycle import TERMINAL
from kafka_bridge.protocol.messages import JobState, StatusEvent


@dataclass(frozen=True, slots=True)
class Event:
    """A status event and its record."""

    record: Record
    status: StatusEvent

    @property
    def state(self) -> JobState:
        """Its state."""
        return self.status.state

    @property
    def delivery(self) -> int:
        """Its delivery."""
        return self.status.delivery

    @property
    def is_terminal(self) -> bool:
        """Whether it ends the job."""
        return self.state in TERMINAL

    def __str__(self) -> str:
        error = "" if self.status.error is None else f" {self.status.error.type}"
        return f"{self.state}{error} (delivery {self.delivery})"


def events_of(job: str, records: Iterable[Record]) -> list[Event]:
    """Return the events of a job: those with its key, and those with its id in the value.

    A record that is not a status event is left out.
    """
    return [event for event in readable(records) if _is_of(job, event)]


def _is_of(job: str, event: Event) -> bool:
    return event.record.key == job.encode() or event.status.correlation_id == job


def readable(records: Iterable[Record]) -> Iterator[Event]:
    """Yield the status events among records."""
    for record in records:
        try:
            yield Event(record, record.decode(StatusEvent))
        except RemoteProtocolError:
            continue


def in_words(events: Sequence[Event]) -> str:
    """Return what was published of a job, in words. Equal events that follow each other are one."""
    if not events:
        return "no event of the job came"
    texts: list[str] = []
    for each in map(str, events):
        if not texts or texts[-1] != each:
            texts.append(each)
    return "its events are " + ", ".join(texts)
