"""Status events as lines of a task's log."""

from __future__ import annotations

from kafka_bridge.protocol.messages import JobState, Progress, StatusEvent


def line_of(event: StatusEvent) -> str | None:
    """Return what an event tells a person, or None when it only says that the worker is alive."""
    match event.state:
        case JobState.ACCEPTED:
            return f"Accepted by worker {event.worker_id}{_delivery(event)}"
        case JobState.RELEASED:
            return f"Handed back by worker {event.worker_id}; waiting for another one"
        case JobState.RUNNING if event.progress is not None:
            return " – ".join(filter(None, (_progress(event.progress), event.message)))
        case JobState.RUNNING:
            return event.message or None
        case _:
            return None


def _delivery(event: StatusEvent) -> str:
    return "" if event.delivery == 1 else f" (delivery {event.delivery})"


def _progress(progress: Progress) -> str:
    unit = f" {progress.unit}" if progress.unit else ""
    if not progress.total:
        return f"{_number(progress.completed)}{unit}"
    share = 100 * progress.completed / progress.total
    return f"{share:.0f} %: {_number(progress.completed)} of {_number(progress.total)}{unit}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
