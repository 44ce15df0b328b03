"""The words that services use for how a job is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from kafka_bridge.gateway.http.config import Answer


class State(StrEnum):
    """How a job is, in whatever words the service says it."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


USUAL: Mapping[State, tuple[str, ...]] = {
    State.SUCCEEDED: (
        *("completed", "complete", "succeeded", "success", "successful"),
        *("done", "finished"),
    ),
    State.FAILED: ("failed", "failure", "error", "errored", "timed_out", "timeout"),
    State.CANCELLED: ("cancelled", "canceled", "aborted", "revoked"),
    State.RUNNING: (
        *("running", "in_progress", "inprogress", "processing", "executing", "working", "active"),
        *("started", "starting", "pending", "queued", "waiting", "scheduled", "accepted"),
        *("submitted", "created", "new", "initializing", "retrying", "retry", "paused"),
        *("cancelling", "canceling", "stopping"),
    ),
}
"""What job services commonly say: Airflow, Argo, Azure, Celery, GitHub, GitLab, Google Cloud,
Jenkins, Slurm, Spark, Step Functions. A word that some use for an end and others do not, such as
"stopped" or "terminated", is not among them."""


def meaning(answer: Answer, word: str) -> State | None:
    """Return what a word means, None where nobody knows it.

    What the file lists counts as it is written, then without regard to case. The usual words count
    where the file lists none for that state.
    """
    listed = {state: words for state in State if (words := getattr(answer, state)) is not None}
    for state, words in listed.items():
        if word in words:
            return state
    for state, words in listed.items():
        if word.casefold() in map(str.casefold, words):
            return state
    plain = re.sub(r"[\s-]+", "_", word.strip().casefold())
    for state, words in USUAL.items():
        if state not in listed and plain in words:
            return state
    return None


def known_words(answer: Answer) -> list[str]:
    """Return the words that are known, for an error: of those that are usual, the first ones."""
    ends = [State.SUCCEEDED, State.FAILED, State.CANCELLED]
    words = [word for state in ends for word in getattr(answer, state) or USUAL[state][:1]]
    return words + list(answer.running or ["any other word while it runs"])
