"""An HTTP job service on loopback that counts its requests and can be made to fail.

It does not use Kafka. It honours the idempotency key: a job starts once, however often it is
submitted.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

CALLBACK_RETRY_SECONDS = 0.2


@dataclass
class Job:
    """A job that has started. ``ends_at`` is a time of the monotonic clock."""

    ends_at: float
    payload: dict[str, Any]

    def status(self) -> dict[str, Any]:
        """Return the job's status."""
        left = self.ends_at - time.monotonic()
        if left > 0:
            return {"status": "running", "progress": {"completed": 1, "total": 2}}
        if self.payload.get("fails"):
            return {"status": "failed", "error": {"type": "bad_input", "message": "No such file"}}
        return {"status": "completed", "result": {"number": self.payload["number"]}}


@dataclass
class CountingService:
    """The service and its counts. ``fault`` may return another answer, or a delay in seconds."""

    jobs: dict[str, Job] = field(default_factory=dict)
    begun: Counter[str] = field(default_factory=Counter)
    submits: int = 0
    polls: int = 0
    cancelled: list[str] = field(default_factory=list)
    callbacks: Counter[int] = field(default_factory=Counter)
    fault: Callable[[], Response | float | None] = lambda: None
    url: str = ""
    _calling: set[asyncio.Task[None]] = field(default_factory=set)
    _client: httpx.AsyncClient = field(init=False)

    def app(self) -> FastAPI:
        """Return the service as an application."""
        app = FastAPI(lifespan=self._lifespan)
        path = "/jobs/{job_id}"
        app.middleware("http")(self._bad_moment)
        app.add_api_route(path, self._submit, methods=["POST"], status_code=202)
        app.add_api_route(path, self._status, methods=["GET"])
        app.add_api_route(path, self._cancel, methods=["DELETE"], status_code=204)
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        # One client for all callbacks: each client loads all CA certificates when it is made, which
        # would keep the event loop from answering requests for many seconds.
        limits, timeout = httpx.Limits(max_connections=50), httpx.Timeout(30, pool=None)
        async with httpx.AsyncClient(limits=limits, timeout=timeout) as client:
            self._client = client
            yield
            for task in self._calling:
                task.cancel()

    async def _bad_moment(
        self, request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        trouble = self.fault()
        if isinstance(trouble, Response):
            return trouble
        if trouble is not None:
            await asyncio.sleep(trouble)
        return await go_on(request)

    async def _submit(
        self, job_id: str, payload: dict[str, Any], request: Request
    ) -> dict[str, str]:
        self.submits += 1
        key = request.headers["idempotency-key"]
        if key not in self.jobs:
            self.begun[key] += 1
            job = self.jobs[key] = Job(time.monotonic() + payload["seconds"], payload)
            if "callback_url" in payload:
                task = asyncio.create_task(self._call_back(job))
                self._calling.add(task)
                task.add_done_callback(self._calling.discard)
        return {"job_id": job_id}

    async def _status(self, job_id: str) -> Response:
        self.polls += 1
        job = self.jobs.get(job_id)
        if job is None:
            return JSONResponse({"detail": "no such job"}, status_code=404)
        return JSONResponse(job.status())

    async def _cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    async def _call_back(self, job: Job) -> None:
        """Call back with progress and then with the end, each until it is accepted."""
        await self._post(job)
        await asyncio.sleep(max(0.0, job.ends_at - time.monotonic()) + 0.01)
        await self._post(job)

    async def _post(self, job: Job) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._client.post(job.payload["callback_url"], json=job.status())
                self.callbacks[answer.status_code] += 1
                if answer.status_code < 500:
                    return
            await asyncio.sleep(CALLBACK_RETRY_SECONDS)


def failing_answers(seed: int) -> Callable[[], Response | float | None]:
    """Return a ``fault`` for a third of all requests: errors, invalid answers and delays."""
    generator = random.Random(seed)

    def fault() -> Response | float | None:
        if generator.random() > 1 / 3:
            return None
        troubles: list[Response | float] = [
            JSONResponse({"detail": "oops"}, status_code=500),
            JSONResponse({"detail": "slowly"}, status_code=429, headers={"Retry-After": "0.2"}),
            Response("<html>Bad gateway</html>", status_code=502),
            Response("", status_code=503),
            1.5,
        ]
        return generator.choice(troubles)

    return fault


@contextlib.contextmanager
def serving() -> Iterator[CountingService]:
    """Serve on loopback inside the block."""
    service = CountingService()
    server = uvicorn.Server(
        uvicorn.Config(service.app(), host="127.0.0.1", port=0, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        time.sleep(0.01)
    service.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield service
    finally:
        server.should_exit = True
        thread.join()
