"""What a worker and one of its child processes tell each other, as pickled values.

Payload and result cross in the form that they have in Kafka: the types of a service are loaded in
the child alone, and a payload is validated there as it would be here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from kafka_bridge.protocol.headers import RawHeaders
from kafka_bridge.protocol.log_lines import LogLine
from kafka_bridge.protocol.messages import JobFailure, JobRequest, Progress
from kafka_bridge.worker.cancellation import StopReason

# To the child. The first message is what multiprocessing tells a process that it spawns: a
# dictionary.


@dataclass(frozen=True, slots=True)
class Program:
    """What the child loads.

    :param module: the worker's module
    :param attribute: the worker's name there
    :param job_types: of the handlers that the child must have
    :param set_up: called before the module is imported
    :param main: where the main module of the worker is, if that is the module
    """

    module: str
    attribute: str
    job_types: frozenset[str]
    set_up: Callable[[], None] | None = None
    main: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunJob:
    """A job for the child.

    :param number: tells this job from the others of the process
    :param headers: of the request's record
    :param external_id: what an earlier delivery has set
    :param checkpoint: what an earlier delivery has saved, as JSON text
    :param forward_logs: from which level on its log lines are reported; None: none are
    """

    number: int
    request: JobRequest
    headers: RawHeaders
    delivery: int
    external_id: str | None
    checkpoint: str | None
    forward_logs: str | None = None


@dataclass(frozen=True, slots=True)
class StopJob:
    """A stop request for a job."""

    number: int
    reason: StopReason
    message: str


@dataclass(frozen=True, slots=True)
class Quit:
    """The child is to end."""


# From the child.


@dataclass(frozen=True, slots=True)
class Ready:
    """The child has loaded the program and waits for jobs."""


@dataclass(frozen=True, slots=True)
class NotReady:
    """The child cannot run jobs; it ends."""

    words: str


@dataclass(frozen=True, slots=True)
class Reported:
    """What the handler reports; None: nothing new."""

    progress: Progress | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Logged:
    """What the handler has logged.

    :param lines: those to forward
    :param tail: the last ones, forwarded or not
    """

    lines: tuple[LogLine, ...]
    tail: tuple[LogLine, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """The external id of the job."""

    external_id: str


@dataclass(frozen=True, slots=True)
class Saved:
    """The checkpoint of the job, as JSON text."""

    checkpoint: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A call of the handler failed, and it is called again after some seconds."""

    attempt: int
    failure: JobFailure
    seconds: float


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler has returned a result."""

    data: bytes | None
    media_type: str | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler, or its result, failed."""

    failure: JobFailure


@dataclass(frozen=True, slots=True)
class Stopped:
    """The handler stopped as asked, with its own message or that of the request."""

    message: str


End: TypeAlias = Succeeded | Failed | Stopped
