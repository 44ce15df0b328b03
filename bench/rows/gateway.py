"""One gateway process with many HTTP jobs in flight, whose status it polls.

*CPU, requests/s and memory*: while all jobs run on a service that costs almost nothing. The status
of each job is requested every 10 to 11 s, as with the file's defaults. The floor is the same
polling with only httpx: no Kafka, no events, no heartbeats (here one every 7.5 s for each job).

*Delay*: the jobs finish at random moments. The delay is from that moment until the terminal event
is appended to the response topic. An ideal poller with this interval sees the end with the next
request, which takes no time.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

from bench.gateway_process import JOB_TYPE, GatewayStage
from bench.job_service import RunningService, job_service, submitted
from bench.measure import Result, Round, Scale, percentile
from bench.traffic import SEED, job_ids

JOBS = 5_000
INTERVAL = 10.0
"""The shortest time in seconds between two status requests: the default of ``maximum``."""
JITTER = 0.1
PERCENTILES = (50, 99)


@dataclass(frozen=True)
class Steady:
    """What a process uses while all its jobs are in flight, and how many requests it sends."""

    percent_of_core: float
    requests_a_second: float
    kib_a_job: float
    resident_mb: float


FIGURES = (
    ("CPU", "% of a core", "percent_of_core"),
    ("requests/s at the service", "requests/s", "requests_a_second"),
    ("memory for each job", "KiB", "kib_a_job"),
    ("resident memory", "MB", "resident_mb"),
)


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    count = scale.size(JOBS)
    interval, polls = (1.0, 2) if scale.short else (INTERVAL, 1)
    seconds = polls * interval * (1 + JITTER / 2)  # the time of this number of polls of each job
    say(f"gateway: a bare poller with {count:,} jobs")
    floor = _floor(count, interval, seconds)
    say(f"gateway: {count:,} jobs in flight")
    ours, delays = _ours(servers, count, interval, seconds)
    what = f"gateway: {count:,} HTTP jobs in flight, polled every {interval:g} s: "
    bare = "only asyncio and httpx, the same requests"
    rows = [
        Result(what + name, bare, unit, None, [Round(getattr(ours, key), getattr(floor, key))])
        for name, unit, key in FIGURES
    ]
    return [*rows, *_delay_rows(what, delays, interval)]


def _delay_rows(what: str, delays: list[float], interval: float) -> Iterator[Result]:
    ideal = _ideal_delays(interval)
    for number in PERCENTILES:
        yield Result(
            f"{what}from the end at the service to the terminal event, p{number}",
            "an ideal poller with this interval",
            "s",
            None,
            [Round(percentile(delays, number), percentile(ideal, number))],
            figure=lambda each: 1000 * (each.ours - each.peer),
            figure_unit="ms more",
        )


def _ideal_delays(interval: float, count: int = 200_000) -> list[float]:
    """Return the times from random moments until the next status request.

    A moment is more likely in a longer pause, and equally likely anywhere in it.
    """
    dice = random.Random(SEED)  # noqa: S311  no secret
    longest = interval * (1 + JITTER)
    pauses = (dice.uniform(interval, longest) for _ in range(count))
    return [dice.uniform(0, pause) for pause in pauses if dice.uniform(0, longest) < pause]


def _floor(count: int, interval: float, seconds: float) -> Steady:
    with job_service() as service:
        arguments = [service.url, str(count), str(interval), str(JITTER)]
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.peers.bare_poller", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None  # noqa: S101  they are pipes
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdout.readline()
            watch = _Watch(psutil.Process(process.pid), service)
            process.stdin.write(b"go\n")
            process.stdin.flush()
            return watch.steady(count, interval, seconds)
        finally:
            process.kill()
            process.communicate()


def _ours(servers: str, count: int, interval: float, seconds: float) -> tuple[Steady, list[float]]:
    polling = {"interval": interval, "factor": 1, "maximum": interval, "jitter": JITTER}
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(job_service())
        stage = GatewayStage(servers, stack)
        file = stage.file({JOB_TYPE: {"url": service.url, "polling": polling}})
        gateway = stack.enter_context(stage.gateway(file))
        jobs = job_ids(count)
        watch = _Watch(gateway, service)
        stage.publish(jobs)
        steady = watch.steady(count, interval, seconds)
        dice = random.Random(SEED)  # noqa: S311  no secret
        begin = time.time() + 1
        ends = {job: begin + dice.uniform(0, interval) for job in jobs}
        service.end(ends)
        return steady, [at - ends[job] for job, at in stage.ends(jobs).items()]


class _Watch:
    """Measures a process that polls. Create it before the process has jobs."""

    def __init__(self, process: psutil.Process, service: RunningService) -> None:
        self._process, self._service = process, service
        self._empty = process.memory_info().rss

    def steady(self, count: int, interval: float, seconds: float) -> Steady:
        """Return what the process uses with ``count`` jobs, measured for ``seconds``."""
        submitted(self._service, count)
        time.sleep(interval)
        polls, cpu, begin = self._service.counts()["polls"], self._cpu(), time.perf_counter()
        time.sleep(seconds)
        took = time.perf_counter() - begin
        resident = self._process.memory_info().rss
        return Steady(
            percent_of_core=100 * (self._cpu() - cpu) / took,
            requests_a_second=(self._service.counts()["polls"] - polls) / took,
            kib_a_job=(resident - self._empty) / count / 1024,
            resident_mb=resident / 1e6,
        )

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
