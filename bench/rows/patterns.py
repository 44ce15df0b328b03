"""Eight HTTP jobs of 15 s each on a real Airflow: an operator that sleeps and polls, and a gateway.

*Slots held while the jobs run*: the queued or running task instances, by Airflow's API: the average
while all eight jobs run at the service, from three seconds after the start of the last one. A
deferred task holds no slot. The two DAGs of the gateway run at the same time.

*Slot-seconds*: the same over the whole DAG run, with the start and the end of the tasks.

*Requests*: those from Airflow's own processes, and all that the service received.

This takes minutes, so it is measured only in the long form.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from bench.airflow_on_kafka import airflow_on_kafka
from bench.gateway_process import GatewayStage
from bench.job_service import RunningService, job_service
from bench.measure import Result, Round, Scale
from kafka_bridge.testing.local_airflow import LocalAirflow

JOBS = 8
ROUNDS = 2
RUN_SECONDS = 120.0
LOOK_SECONDS = 0.25
BEGIN_SECONDS = 3.0
"""The time that a task's process may need after it has submitted its job: it waits for a moment
(``wait_before_deferring``), defers and exits."""
WAYS = ("polling", "callback")
HOLDS_A_SLOT = frozenset({"queued", "running"})
ENDED = frozenset({"success", "failed"})


@dataclass(frozen=True)
class Watched:
    """What one DAG run used."""

    slots: float
    slot_seconds: float
    requests: int
    requests_of_airflow: int


FIGURES = (
    ("worker slots held while they run", "slots", "slots"),
    ("slot-seconds of the whole DAG run", "slot-seconds", "slot_seconds"),
    ("requests sent by Airflow", "requests", "requests_of_airflow"),
    ("requests at the service", "requests", "requests"),
)


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    if scale.short:
        return []
    peer = "an operator with a loop of time.sleep(1) and GET"
    rows = {
        (way, key): Result(
            f"{JOBS} HTTP jobs of 15 s through a gateway, {way}: {what}", peer, unit, None
        )
        for way in WAYS
        for what, unit, key in FIGURES
    }
    with contextlib.ExitStack() as stack:
        bench = _Bench(servers, stack)
        for number in range(ROUNDS):
            say(f"patterns: an operator that sleeps, round {number + 1}")
            sleeping = bench.watch("sleeping")["sleeping"]
            say(f"patterns: a gateway, round {number + 1}")
            ours = bench.watch(*WAYS)
            for (way, key), row in rows.items():
                row.rounds.append(Round(getattr(ours[way], key), getattr(sleeping, key)))
    return list(rows.values())


class _Bench:
    """An Airflow, a gateway, and a service for each way to use it."""

    def __init__(self, servers: str, stack: contextlib.ExitStack) -> None:
        self._services = {way: stack.enter_context(job_service()) for way in ("sleeping", *WAYS)}
        self._stage = GatewayStage(servers, stack)
        services = {
            way: {"url": self._services[way].url, "headers": {"X-By": "gateway"}} for way in WAYS
        }
        jobs = {f"bench.{way}": {"service": way, "mode": way} for way in WAYS}
        stack.enter_context(self._stage.gateway(self._stage.file(jobs, services)))
        self._airflow = stack.enter_context(airflow_on_kafka(servers, parallelism=JOBS))

    def watch(self, *ways: str) -> dict[str, Watched]:
        """Run the DAGs of these ways at the same time, and watch them until they are finished."""
        watches = {way: self._begin(way) for way in ways}
        give_up = time.monotonic() + RUN_SECONDS
        while True:
            ended = [each.look() for each in watches.values()]  # look at all of them, each time
            if all(ended):
                return {way: watch.found() for way, watch in watches.items()}
            if time.monotonic() > give_up:
                raise RuntimeError(f"the DAG runs did not finish in {RUN_SECONDS:g} s")
            time.sleep(LOOK_SECONDS)

    def _begin(self, way: str) -> _Watch:
        topics = {
            "request_topic": self._stage.requests,
            "response_topic": self._stage.responses,
        }
        service = self._services[way]
        conf = {"url": service.url, **topics}
        return _Watch(self._airflow, service, f"bench_{way}", conf)


class _Watch:
    """Watches one DAG run and its service."""

    def __init__(
        self, airflow: LocalAirflow, service: RunningService, dag_id: str, conf: dict[str, str]
    ) -> None:
        self._airflow, self._service, self._dag_id = airflow, service, dag_id
        self._before = service.counts()
        self._run_id = airflow.trigger(dag_id, conf=conf)
        self._looked = time.monotonic()
        self._all_since = float("inf")
        self._slots: list[int] = []
        self._slot_seconds = 0.0

    def look(self) -> bool:
        """Note how many slots the run holds now; return whether it is finished."""
        tasks = self._airflow.task_instances(self._dag_id, self._run_id)
        now, before = time.monotonic(), self._looked
        holding = sum(task["state"] in HOLDS_A_SLOT for task in tasks)
        self._slot_seconds += holding * (now - before)
        self._looked = now
        all_run = self._service.counts()["running"] == JOBS
        self._all_since = min(self._all_since, now) if all_run else float("inf")
        if now - self._all_since > BEGIN_SECONDS:
            self._slots.append(holding)
        return self._airflow.run_state(self._dag_id, self._run_id) in ENDED

    def found(self) -> Watched:
        """Return what the whole run used.

        :raises RuntimeError: the run failed
        """
        if self._airflow.run_state(self._dag_id, self._run_id) != "success":
            raise RuntimeError(self._airflow.run_report(self._dag_id, self._run_id))
        counts = self._service.counts()
        asked = {name: count - self._before[name] for name, count in counts.items()}
        requests = asked["submits"] + asked["polls"]
        return Watched(
            fmean(self._slots), self._slot_seconds, requests, requests - asked["by_gateway"]
        )
