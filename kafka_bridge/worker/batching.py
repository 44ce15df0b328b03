"""Batch handlers: one call gets several jobs at once, for a model on a graphics card."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kafka_bridge.protocol.errors import ConfigurationError
from kafka_bridge.worker.dependencies import Dependencies
from kafka_bridge.worker.durations import Duration, in_seconds
from kafka_bridge.worker.signatures import allows_job, annotation_of, label, positional_parameters

LINGER_SECONDS = 0.05
"""Longer than the brokers take to acknowledge ACCEPTED: while many jobs wait, batches are full."""
SHAPE = "must take (jobs) or (jobs, payloads), two lists in the same order"


@dataclass(frozen=True, slots=True)
class Batching:
    """How the jobs of a handler become batches.

    :param size: how many jobs a batch has at most
    :param linger: seconds for which the first job of a batch waits for others
    """

    size: int
    linger: float

    @classmethod
    def of(
        cls, job_type: str, batch: int | None, linger: Duration | None, *, in_process: bool
    ) -> Batching | None:
        """Return the batching of a handler; None if each of its jobs has a call of its own.

        :raises ConfigurationError: ``batch`` is not a number from 1 on, ``linger`` is negative or
            infinite or is given without ``batch``, or the handler runs in a process
        """
        if batch is None:
            if linger is not None:
                raise ConfigurationError(
                    f"linger of {job_type!r} needs batch=…: only a batch waits for other jobs"
                )
            return None
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise ConfigurationError(
                f"batch of {job_type!r} must be a whole number, 1 or more, not {batch!r}"
            )
        if in_process:
            raise ConfigurationError(
                f"{job_type!r} has both batch=… and process=True: a batch runs on a thread or as "
                "async def. For more processes, start more workers"
            )
        seconds = LINGER_SECONDS if linger is None else in_seconds(linger)
        if not 0 <= seconds < math.inf:
            raise ConfigurationError(
                f"linger of {job_type!r} must be 0 s or more, and finite, not {seconds} s"
            )
        return cls(batch, seconds)

    def at_once(self) -> Batching:
        """Return the same for tests: no batch waits for other jobs."""
        return replace(self, linger=0.0)

    def __str__(self) -> str:
        return f"batches of up to {self.size}, linger {self.linger:g} s"


def payloads_parameter(
    name: str, function: Callable[..., Any], filled: Collection[str]
) -> str | None:
    """Return the name of a batch handler's parameter for payloads; None if it has none.

    :param filled: the parameters that dependencies fill
    :raises ConfigurationError: the parameters are not those of a batch handler
    """
    positional = positional_parameters(name, function, filled)
    if len(positional) not in (1, 2):
        raise ConfigurationError(f"{name} has batch=…, so it {SHAPE}")
    item = _item_of(annotation_of(function, positional[0]))
    if item is None or not allows_job(item):
        raise ConfigurationError(
            f"{name} has batch=…, so it gets a list of jobs, but {positional[0].name!r} is "
            f"annotated {positional[0].annotation!r}: write (jobs: list[JobContext], payloads: "
            "list[…])"
        )
    return positional[1].name if len(positional) == 2 else None


def payload_item(name: str, wanted: Any) -> Any:
    """Return the type of one payload, from the annotation of the list.

    :raises ConfigurationError: it is not a list
    """
    item = _item_of(wanted)
    if item is None:
        raise ConfigurationError(
            f"{name} has batch=…, so it gets a list of payloads, but asks for {wanted!r}: write "
            "payloads: list[…], with the type of one payload"
        )
    return item


def _item_of(annotation: Any) -> Any:
    """Return what a list contains, Any if it does not say; None if it is not a list."""
    if annotation is Any:
        return Any
    if (typing.get_origin(annotation) or annotation) not in (list, Sequence):
        return None
    items = typing.get_args(annotation)
    return items[0] if items else Any


def refuse_job(name: str, dependencies: Dependencies) -> None:
    """Return if dependencies can be called for a batch.

    :raises ConfigurationError: one takes a job, and a batch has several
    """
    for _, each in dependencies:
        if each.takes_job:
            raise ConfigurationError(
                f"{name} has batch=…, so its dependencies are called once for all jobs of a "
                f"batch, but {label(each.function)} takes one job: call it in the handler, for "
                "each job"
            )
        refuse_job(name, each.parameters)
