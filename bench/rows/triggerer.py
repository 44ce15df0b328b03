"""A thousand deferred tasks resume: a real ``airflow triggerer`` on a real Postgres.

Once the triggerer runs all the triggers, the replies are published by another process; the time is
taken from then until every task instance is ``scheduled`` in the database, as another connection
sees it. The peer waits for nothing but a flag in memory
(:class:`~bench.memory_trigger.MemoryTrigger`), with the same triggerer process, so that what
is left is what Airflow itself takes. Rounds take turns; a small round of each goes before, untimed.
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
    # By default 50 a loop: only what goes before the measurement would take longer.
    "TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(TASKS),
}
SETTLE_SECONDS = 3.0
"""After the last trigger has started: the reader connects, the triggerer's loops come to rest."""


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the row, or say what it lacks."""
    count = scale.size(TASKS)
    result = Result(
        f"{count:,} deferred tasks in Airflow's triggerer on Postgres: replies until all resume",
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


# The two sides: what waits, and what sets it free.


class _Replies:
    """Ours: each trigger waits for a reply of its own."""

    def __init__(self, count: int, servers: str, topic: str) -> None:
        self._servers, self._topic, self._jobs = servers, topic, job_ids(count)
        self._publisher: Publisher | None = None

    def order(self) -> dict[str, Any]:
        """Return what the writer needs to know of the triggers."""
        starts = ends_of(self._servers, self._topic)
        return {"jobs": self._jobs, "topic": self._topic, "starts": starts}

    def prepare(self) -> Callable[[], None]:
        """Start what sets the triggers free; return what does it."""
        self._publisher = Publisher(self._servers, self._topic, shuffled(self._jobs))
        return self._publisher.go

    def close(self) -> None:
        """Stop it."""
        if self._publisher is not None:
            self._publisher.close()


class _Flag:
    """The peer's: all triggers wait for one event in memory."""

    def __init__(self, count: int, home: Path) -> None:
        self._count = count
        self._file = home / f"flag-{uuid.uuid4().hex[:8]}"

    def order(self) -> dict[str, Any]:
        """Return what the writer needs to know of the triggers."""
        return {"count": self._count, "flag": str(self._file)}

    def prepare(self) -> Callable[[], None]:
        """Return what sets the triggers free."""
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
