"""A thousand deferred tasks resume: a real ``airflow triggerer`` on a real Postgres.

When the triggerer runs all the triggers, another process publishes the replies. The time is from
then until every task instance is ``scheduled`` in the database, as another connection sees it. The
peer's triggers wait only for a flag in memory (:class:`~bench.memory_trigger.MemoryTrigger`), in
the same triggerer process, so that its time is Airflow's own. Rounds of both sides alternate, after
a small round of each that is not measured.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measure import Result, Round, Scale, Target
from bench.traffic import Publisher, ends_of, job_ids, new_topic, shuffled
from bench.triggerer import START_SECONDS, Triggerer, triggerer_on
from kafka_bridge.testing.local_airflow import PostgresMissing, postgres

TASKS = 1000
WARM_UP_TASKS = 20
ROUND_SECONDS = 120.0
SETTINGS = {
    "TRIGGERER__CAPACITY": str(2 * TASKS),
    # The default is 50 in a loop. It would only make the time before the measurement longer.
    "TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(TASKS),
}
SETTLE_SECONDS = 3.0
"""After the last trigger has started: the reader connects, the triggerer's loops become idle."""


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the row, or note what is missing for it."""
    count = scale.size(TASKS)
    result = Result(
        f"{count:,} deferred tasks in Airflow's triggerer on Postgres: time from the replies until "
        "all tasks resume",
        "a trigger that waits for an event in memory",
        "s",
        Target("<=", 1.1),
    )
    with contextlib.ExitStack() as stack:
        say("starting Postgres and Airflow's triggerer")
        try:
            url = stack.enter_context(postgres())
        except PostgresMissing as missing:
            result.note = f"not measured: {missing}"
            return [result]
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kafka-bridge-")))
        bench = stack.enter_context(triggerer_on(url, folder, servers, SETTINGS))
        bench.start()
        topic = stack.enter_context(new_topic(servers))

        def ours(size: int) -> float:
            return _time_round(bench, size, _Replies(size, servers, topic))

        def peer(size: int) -> float:
            return _time_round(bench, size, _Flag(size, bench.home))

        _both(ours, peer, WARM_UP_TASKS, ours_first=True)
        for number in range(1 if scale.short else scale.rounds()):
            say(f"{count:,} deferred tasks, round {number + 1}")
            result.rounds.append(_both(ours, peer, count, ours_first=number % 2 == 0))
    return [result]


def _both(
    ours: Callable[[int], float], peer: Callable[[int], float], count: int, *, ours_first: bool
) -> Round:
    if ours_first:
        took = ours(count)
        return Round(took, peer(count))
    other = peer(count)
    return Round(ours(count), other)


# The two sides: what the triggers wait for, and what makes them fire.


class _Replies:
    """Ours: each trigger waits for its own reply."""

    def __init__(self, count: int, servers: str, topic: str) -> None:
        self._servers, self._topic, self._jobs = servers, topic, job_ids(count)
        self._publisher: Publisher | None = None

    def order(self) -> dict[str, Any]:
        """Return what the writer needs to create the triggers."""
        starts = ends_of(self._servers, self._topic)
        return {"jobs": self._jobs, "topic": self._topic, "starts": starts}

    def prepare(self) -> Callable[[], None]:
        """Start the publisher; return a function that publishes the replies."""
        self._publisher = Publisher(self._servers, self._topic, shuffled(self._jobs))
        return self._publisher.go

    def close(self) -> None:
        """Stop the publisher."""
        if self._publisher is not None:
            self._publisher.close()


class _Flag:
    """The peer: all triggers wait for one event in memory."""

    def __init__(self, count: int, home: Path) -> None:
        self._count = count
        self._file = home / f"flag-{uuid.uuid4().hex[:8]}"

    def order(self) -> dict[str, Any]:
        """Return what the writer needs to create the triggers."""
        return {"count": self._count, "flag": str(self._file)}

    def prepare(self) -> Callable[[], None]:
        """Return a function that makes the triggers fire."""
        return self._file.touch

    def close(self) -> None:
        """Remove the flag."""
        self._file.unlink(missing_ok=True)


def _time_round(bench: Triggerer, count: int, side: _Replies | _Flag) -> float:
    """Return the seconds from the replies until all the tasks are resumed."""
    run_id = f"manual__{uuid.uuid4().hex[:8]}"
    bench.defer(run_id=run_id, **side.order())
    bench.wait_until(lambda: bench.started(run_id) == count, START_SECONDS)
    fire = side.prepare()
    time.sleep(SETTLE_SECONDS)
    if bench.resumed(run_id):
        raise RuntimeError("triggers fired before there was a reply")
    begin = time.perf_counter()
    fire()
    bench.wait_until(lambda: bench.resumed(run_id) == count, ROUND_SECONDS)
    took = time.perf_counter() - begin
    side.close()
    bench.forget(run_id)
    return took
