"""The least that polling by httpx takes: a coroutine for each job that sleeps and asks.

``python -m bench.peers.bare_poller URL JOBS INTERVAL JITTER`` says that it is ready, waits for a
line, submits its jobs and asks for them until they have ended. It tells nobody. Each connection has
a client of its own: with one client for a hundred connections, a request takes three times the CPU.
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
        """Submit a job, and ask for it until it has ended."""
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
    """Do so many jobs."""
    poller = Poller(url)
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(poller.do(str(uuid.uuid4()), interval, jitter) for _ in range(jobs)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])))
