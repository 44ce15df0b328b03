"""An HTTP job service that uses almost no CPU, so that only its clients are measured.

As a program (``python -m bench.job_service PORT``) it serves on loopback:

- ``POST /jobs/{job_id}`` starts a job. If its payload has ``seconds``, the job finishes after that
  time. If it also has a ``callback_url``, the service then sends a callback.
- ``GET /jobs/{job_id}`` returns the job's state.
- ``PUT /ends`` sets when jobs finish: ``{job_id: seconds since 1970}``.
- ``GET /callback_urls`` returns the URLs of all jobs, ``GET /counts`` the numbers of requests.

The measurements start it with :func:`job_service`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from kafka_bridge.testing.local_airflow.config import LOOPBACK
from kafka_bridge.testing.ports import free_port

START_SECONDS = 30.0
SUBMIT_SECONDS = 90.0
RUNNING = b'{"status": "running"}'
COMPLETED = b'{"status": "completed", "result": 1}'
BY_GATEWAY = (b"x-by", b"gateway")
"""The header that marks a gateway's requests, if the gateway's file sets it."""
_HEADERS = [(b"content-type", b"application/json")]

Message = dict[str, Any]


@dataclass
class Service:
    """The service, as an ASGI application."""

    ends_at: dict[str, float] = field(default_factory=dict)
    callback_urls: dict[str, str] = field(default_factory=dict)
    submits: int = 0
    polls: int = 0
    by_gateway: int = 0
    _calling: set[asyncio.Task[None]] = field(default_factory=set)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a request."""
        self.by_gateway += BY_GATEWAY in scope["headers"]
        answer = self._answer(scope["method"], scope["path"], await _body(receive))
        length = (b"content-length", b"%d" % len(answer))
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, length]})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        job = path.removeprefix("/jobs/")
        if job != path and method == "GET":
            self.polls += 1
            has_ended = self.ends_at[job] <= time.time()
            return COMPLETED if has_ended else RUNNING
        if job != path:
            self._begin(job, json.loads(body or b"null") or {})
            return RUNNING
        if path == "/ends":
            self.ends_at.update(json.loads(body))
        if path == "/callback_urls":
            return json.dumps(self.callback_urls).encode()
        now = time.time()
        running = sum(end > now for end in self.ends_at.values())
        counts = {"submits": self.submits, "polls": self.polls, "by_gateway": self.by_gateway}
        return json.dumps({**counts, "running": running}).encode()

    def _begin(self, job: str, payload: Mapping[str, Any]) -> None:
        self.submits += 1
        seconds, url = payload.get("seconds", math.inf), payload.get("callback_url")
        self.ends_at[job] = time.time() + seconds
        if url is not None:
            self.callback_urls[job] = url
            if seconds < math.inf:
                task = asyncio.create_task(_call_back(url, seconds))
                self._calling.add(task)
                task.add_done_callback(self._calling.discard)


async def _body(receive: Callable[[], Awaitable[Message]]) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)


async def _call_back(url: str, seconds: float) -> None:
    await asyncio.sleep(seconds)
    async with httpx.AsyncClient() as client:
        (await client.post(url, content=COMPLETED)).raise_for_status()


class RunningService:
    """A client of the running service."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def counts(self) -> dict[str, int]:
        """Return the numbers of requests, those of a gateway, and the number of running jobs."""
        found: dict[str, int] = self._client.get("/counts").json()
        return found

    def callback_urls(self) -> dict[str, str]:
        """Return the callback URL of each job that has one."""
        found: dict[str, str] = self._client.get("/callback_urls").json()
        return found

    def end(self, at: Mapping[str, float]) -> None:
        """Set when each of these jobs finishes, in seconds since 1970."""
        self._client.put("/ends", json=dict(at)).raise_for_status()

    def close(self) -> None:
        """Close the client's connection."""
        self._client.close()


@contextlib.contextmanager
def job_service() -> Iterator[RunningService]:
    """Run the service inside the block, in its own process."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.job_service", str(port)])
    try:
        with contextlib.closing(RunningService(f"http://{LOOPBACK}:{port}")) as service:
            _wait_for(service, process)
            yield service
    finally:
        process.kill()
        process.wait()


def _wait_for(service: RunningService, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            service.counts()
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > give_up:
                raise
            time.sleep(0.05)
        else:
            return


def submitted(service: RunningService, count: int) -> None:
    """Return when ``count`` jobs have been submitted."""
    give_up = time.monotonic() + SUBMIT_SECONDS
    while (submits := service.counts()["submits"]) < count:
        if time.monotonic() > give_up:
            raise RuntimeError(f"only {submits} of {count} jobs were submitted")
        time.sleep(0.02)


if __name__ == "__main__":
    uvicorn.run(
        Service(),
        host=LOOPBACK,
        port=int(sys.argv[1]),
        log_level="error",
        lifespan="off",
        timeout_keep_alive=600,
    )
