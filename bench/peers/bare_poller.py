"""The minimum for polling with httpx: for each job, a coroutine that sleeps and polls.

``python -m bench.peers.bare_poller URL JOBS INTERVAL JITTER`` prints that it is ready, waits for a
line, submits its jobs and polls them until they are finished. It publishes nothing. Each connection
has its own client: with one client for a hundred connections, a request takes three times the CPU.
"""

from __future__ import annotations

import asyncio
import random
import sys
import uuid
from typing import Any

import httpx

MOST_AT_A_TIME = 100


class Poller:
    """Requests to one service."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._places = asyncio.Semaphore(MOST_AT_A_TIME)
        self._idle: list[httpx.AsyncClient] = []
        self._tls = httpx.create_ssl_context()

    async def do(self, job: str, interval: float, jitter: float) -> None:
        """Submit a job, and poll its status until it is finished."""
        await self._ask("POST", job)
        status = "running"
        while status == "running":
            await asyncio.sleep(interval * (1 + random.uniform(0, jitter)))  # noqa: S311  no secret
            status = (await self._ask("GET", job))["status"]

    async def _ask(self, method: str, job: str) -> Any:
        async with self._places:
            client = self._idle.pop() if self._idle else httpx.AsyncClient(verify=self._tls)
            answer = await client.request(method, f"{self._url}/jobs/{job}", timeout=30)
            self._idle.append(client)
        return answer.raise_for_status().json()


async def main(url: str, jobs: int, interval: float, jitter: float) -> None:
    """Run all jobs."""
    poller = Poller(url)
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(poller.do(str(uuid.uuid4()), interval, jitter) for _ in range(jobs)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
