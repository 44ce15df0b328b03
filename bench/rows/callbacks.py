"""One gateway process that receives callbacks for many jobs in flight.

*Callbacks/s*: for half of the jobs, four callbacks with progress each and then the terminal ones,
over 32 connections, as fast as the gateway accepts them. It accepts a callback when every replica
of the topic has it. The peer accepts callbacks without reading them.

*Delay*: the terminal callbacks of the other half, 100 a second. The delay is from the moment when
the service sends one until the terminal event is appended to the response topic. For the peer it is
the time until it has answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.callers import Callback, Connection, at_a_pace, at_once
from bench.gateway_process import JOB_TYPE, GatewayStage
from bench.job_service import COMPLETED, job_service, submitted
from bench.measure import Result, Round, Scale, percentile
from bench.traffic import job_ids
from kafka_bridge.testing.local_airflow.config import LOOPBACK
from kafka_bridge.testing.ports import free_port

JOBS = 1_000
PROGRESS = 4
ENDS_A_SECOND = 100
PERCENTILES = (50, 99)
START_SECONDS = 30.0


@dataclass(frozen=True)
class Measured:
    """Callbacks a second, and the delays of those that were sent at a fixed rate."""

    a_second: float
    delays_ms: Sequence[float]


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure the rows."""
    count = scale.size(JOBS)
    bare = "a bare FastAPI endpoint that answers 202"
    rate = Result(
        f"gateway: callbacks/s (progress and terminal), {count:,} jobs in flight",
        bare,
        "callbacks/s",
        None,
    )
    delays = {
        share: Result(
            f"gateway: {ENDS_A_SECOND} terminal callbacks/s, from POST to terminal event, p{share}",
            f"{bare}, from POST to answer",
            "ms",
            None,
            figure=lambda each: each.ours - each.peer,
            figure_unit="ms more",
        )
        for share in PERCENTILES
    }
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"gateway, callbacks, round {number + 1}")
        ours, peer = _ours(servers, count), _bare(count)
        rate.rounds.append(Round(ours.a_second, peer.a_second))
        for share, row in delays.items():
            row.rounds.append(
                Round(percentile(ours.delays_ms, share), percentile(peer.delays_ms, share))
            )
    return [rate, *delays.values()]


def _ours(servers: str, count: int) -> Measured:
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(job_service())
        stage = GatewayStage(servers, stack)
        file = stage.file({JOB_TYPE: {"url": service.url, "mode": "callback"}})
        stack.enter_context(stage.gateway(file))
        jobs = job_ids(count)
        stage.publish(jobs)
        submitted(service, count)
        urls = service.callback_urls()
        a_second, sent, _ = asyncio.run(_send([urls[job] for job in jobs]))
        ends = stage.ends(jobs)
        paced = [job for job in jobs if urls[job] in sent]
        return Measured(a_second, [1000 * (ends[job] - sent[urls[job]]) for job in paced])


def _bare(count: int) -> Measured:
    with _bare_receiver() as url:
        a_second, _, took = asyncio.run(_send([f"{url}/{job}" for job in job_ids(count)]))
        return Measured(a_second, [1000 * each for each in took])


async def _send(urls: Sequence[str]) -> tuple[float, dict[str, float], list[float]]:
    """Send callbacks for half of the jobs at once, and for the others at a fixed rate."""
    quick, slow = urls[: len(urls) // 2], urls[len(urls) // 2 :]
    callbacks = [Callback(url, _progress(step)) for step in range(PROGRESS) for url in quick]
    callbacks += [Callback(url, COMPLETED) for url in quick]
    a_second = await at_once(callbacks)
    return a_second, *await at_a_pace([Callback(url, COMPLETED) for url in slow], ENDS_A_SECOND)


def _progress(step: int) -> bytes:
    body: dict[str, Any] = {
        "status": "running",
        "progress": {"completed": step, "total": PROGRESS},
    }
    return json.dumps(body).encode()


@contextlib.contextmanager
def _bare_receiver() -> Iterator[str]:
    port = free_port()
    url = f"http://{LOOPBACK}:{port}/callbacks"
    process = subprocess.Popen([sys.executable, "-m", "bench.peers.bare_receiver", str(port)])
    try:
        asyncio.run(_until_open(url))
        yield url
    finally:
        process.kill()
        process.wait()


async def _until_open(url: str) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            connection = await Connection.open(url)
        except OSError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.05)
        else:
            connection.close()
            return
