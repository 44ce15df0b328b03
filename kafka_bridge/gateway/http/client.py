"""Sends requests to one service: with credentials, within its limits, and with retries."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base

from kafka_bridge.gateway.http.answer import ServiceAnswer
from kafka_bridge.gateway.http.connection_pool import ConnectionPool
from kafka_bridge.gateway.http.credentials import credentials_of
from kafka_bridge.gateway.http.request_errors import (
    RequestFailed,
    refused,
    retry_after,
    unanswered,
    unreadable,
)
from kafka_bridge.gateway.http.service_config import HttpService, Retries
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.worker import ApplicationError, Backoff
from kafka_bridge.worker.errors import invalid_payload

_FRAMING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""The headers that describe the body as it was transferred; it is stored decoded."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a service.

    ``body`` is a JSON value, or None for a request without a body. ``timeout`` is in seconds. The
    answer is masked with ``mask``, the mask of the job; by default with the service's own.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    timeout: float | None = None
    mask: Mask | None = None


class _Resources:
    """The connections and limits of a service, for one event loop."""

    def __init__(self, service: HttpService) -> None:
        self.connections = ConnectionPool(service.max_connections, _tls(service))
        self.jobs = asyncio.Semaphore(service.concurrency) if service.concurrency else None
        # Requests are evenly spaced, because the limit must keep bursts from the service.
        self.rate = AsyncLimiter(1, 1 / service.rate) if service.rate else None


class ServiceClient:
    """Sends requests to a service.

    :ivar mask: masks the service's secrets, also the previous values of renewed ones
    :ivar url: the service's base URL
    """

    def __init__(self, service: HttpService) -> None:
        self.mask = Mask()
        self.url = service.url
        self._service = service
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Resources] = (
            WeakKeyDictionary()
        )

    @property
    def _resources(self) -> _Resources:
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop[loop] = _Resources(self._service)
        return self._by_loop[loop]

    @contextlib.asynccontextmanager
    async def slot(self, report: Callable[[str], None]) -> AsyncIterator[None]:
        """Hold one of the service's slots for jobs inside the block; wait until one is free.

        :param report: is called with a message if the job has to wait
        """
        jobs = self._resources.jobs
        if jobs is None:
            yield
            return
        if jobs.locked():
            report(f"Waiting: the service runs at most {self._service.concurrency} jobs at a time")
        async with jobs:
            yield

    async def send(
        self,
        call: Call,
        *,
        accepts: frozenset[int] = frozenset(),
        retry: bool = True,
        report: Callable[[str], None] = lambda _: None,
    ) -> ServiceAnswer:
        """Send a request; retry it as the service's ``retries`` say.

        :param accepts: status codes that are not errors, besides those of success
        :param retry: False to send the request once only
        :param report: is called with a message before each retry
        :raises ApplicationError: the request failed, with the service's message
        """
        if not retry:
            return await self._once(call, accepts)
        rules = self._service.retries
        retrying = AsyncRetrying(
            stop=stop_after_attempt(rules.limit + 1),
            wait=_Wait(rules),
            retry=retry_if_exception(_is_retryable),
            before_sleep=lambda state: report(_retry_message(state, rules)),
            reraise=True,
        )
        reply: ServiceAnswer = await retrying(self._once, call, accepts)
        return reply

    async def _once(self, call: Call, accepts: frozenset[int]) -> ServiceAnswer:
        resources = self._resources
        if resources.rate is not None:
            await resources.rate.acquire()
        async with resources.connections.client() as client:
            return await self._answered(client, call, accepts)

    async def _answered(
        self, client: httpx.AsyncClient, call: Call, accepts: frozenset[int]
    ) -> ServiceAnswer:
        timeout = call.timeout or self._service.timeout
        mask = call.mask or self.mask
        request = self._request(client, call, self._credentials())
        try:
            async with asyncio.timeout(timeout):
                response = await self._read(await client.send(request, stream=True), mask)
        except TimeoutError:
            raise unanswered(request, httpx.ReadTimeout(""), timeout, mask) from None
        except httpx.LocalProtocolError as error:
            raise _unsendable(mask.text(str(error))) from None
        except httpx.HTTPError as error:
            raise unanswered(request, error, timeout, mask) from None
        if response.is_success or response.status_code in accepts:
            return ServiceAnswer(response, retry_after(response), mask)
        raise refused(response, mask)

    def _credentials(self) -> Mapping[str, str]:
        """Return the headers with credentials. Each secret is read again, as it may be renewed.

        :raises RequestFailed: a secret cannot be read
        """
        try:
            credentials = credentials_of(self._service)
        except ValueError as error:
            raise RequestFailed(
                f"the credentials for {self._service.url} cannot be used: {error}",
                type="credentials_unusable",
            ) from None
        self.mask.add(*credentials.secrets)
        return credentials.headers

    async def _read(self, stream: httpx.Response, mask: Mask) -> httpx.Response:
        """Return an answer with its body, which is read up to the service's limit."""
        limit = self._service.max_answer_bytes
        body = bytearray()
        try:
            async for part in stream.aiter_bytes():
                body += part
                if len(body) > limit:
                    why = f"its body is larger than {limit} bytes (max_answer_bytes)"
                    # A job that has returned a large result would return it again.
                    raise unreadable(stream, why, mask, retryable=not stream.is_success)
        finally:
            await stream.aclose()
        headers = [each for each in stream.headers.multi_items() if each[0] not in _FRAMING]
        return httpx.Response(
            stream.status_code, headers=headers, content=bytes(body), request=stream.request
        )

    def _request(
        self, client: httpx.AsyncClient, call: Call, own: Mapping[str, str]
    ) -> httpx.Request:
        headers = {**own, **call.headers}
        content = {} if call.body is None else {"json": call.body}
        try:
            return client.build_request(
                call.method, f"{self._service.url}{call.path}", headers=headers, **content
            )
        except (httpx.InvalidURL, ValueError) as error:
            raise _unsendable(str(error)) from None


def _unsendable(why: str) -> ApplicationError:
    return invalid_payload(f"the payload results in a request that cannot be sent: {why}")


class _Wait(wait_base):
    """Exponential backoff with jitter, but at least as long as ``Retry-After``."""

    def __init__(self, rules: Retries) -> None:
        self._usual = Backoff(rules.initial, rules.factor, rules.maximum, rules.jitter).wait()

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = _failure(retry_state)
        asked = failure.retry_after if isinstance(failure, RequestFailed) else 0.0
        return max(asked, self._usual(retry_state))


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, RequestFailed) and error.retryable


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _retry_message(state: RetryCallState, rules: Retries) -> str:
    return (
        f"Try {state.attempt_number} of {rules.limit + 1} failed: {_failure(state)}; retrying in "
        f"{state.upcoming_sleep:.1f} s"
    )


def _tls(service: HttpService) -> ssl.SSLContext:
    if service.ca_bundle is None:
        return _public_tls()
    return ssl.create_default_context(cafile=str(service.ca_bundle))


@functools.cache
def _public_tls() -> ssl.SSLContext:
    """Return the context that trusts public certificates. Reading them is slow, so it is shared."""
    return httpx.create_ssl_context()
