"""Requests to one service, within its limits, as who we are to it, and again where that helps."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import httpx
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_base

from kafka_bridge.gateway.expressions import ExpressionFailed, JmesPath
from kafka_bridge.gateway.http.config import Retries, Service
from kafka_bridge.gateway.http.connections import Connections
from kafka_bridge.gateway.http.credentials import credentials_of
from kafka_bridge.gateway.http.failures import (
    RequestFailed,
    body_text,
    refused,
    retry_after,
    unanswered,
    unreadable,
)
from kafka_bridge.gateway.json_text import read_json
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.outside_text import excerpt
from kafka_bridge.worker import ApplicationError, Backoff
from kafka_bridge.worker.errors import invalid_payload

_FRAMING = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers of a body as it travels."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a service.

    ``body``: JSON; None sends none. ``timeout``: in seconds. ``mask``: of the job that it is about,
    by default the service's own; the answer is masked with it.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    timeout: float | None = None
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is a success, or has one of the status codes that the caller takes.

    What is read from it is masked. ``retry_after``: the seconds that the service asks to be left
    alone, 0 for none.
    """

    response: httpx.Response
    retry_after: float
    mask: Mask

    def json(self) -> Any:
        """Return the body as JSON gives it, None where there is none.

        :raises ApplicationError: it is no JSON
        """
        if not self.response.content:
            return None
        try:
            return self.mask.value(read_json(self.response.content))
        except ValueError as error:
            words = self.mask.text(str(error))
            why = f"its body is not JSON ({words}): {excerpt(self._text)!r}"
            raise self.unreadable(why) from None

    def value(self) -> Any:
        """Return the body: as JSON gives it, or text, or bytes, as its media type says.

        :raises ApplicationError: it should be JSON and is not
        """
        media_type = self.response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "application/json" or media_type.endswith("+json"):
            return self.json()
        if media_type.startswith("text/") or not media_type:
            return self._text or None
        return self.mask.data(self.response.content)

    def part(self, where: JmesPath | None) -> Any:
        """Return a part of the body as JSON gives it; the whole body where there is no expression.

        :raises ApplicationError: it cannot be read
        """
        if where is None:
            return self.value()
        try:
            return where.search(self.json())
        except ExpressionFailed as error:
            raise self.unreadable(str(error)) from None

    def header(self, name: str) -> str | None:
        """Return the value of a header, None where there is none."""
        value = self.response.headers.get(name)
        return None if value is None else self.mask.text(value)

    def unreadable(self, why: str, *, retryable: bool = True) -> RequestFailed:
        """Return the error that this answer is, which cannot be used."""
        return unreadable(self.response, why, self.mask, retryable=retryable)

    @property
    def _text(self) -> str:
        return body_text(self.response, self.mask)


class _Resources:
    """What an event loop has for a service: connections, and how much it bears."""

    def __init__(self, service: Service) -> None:
        self.connections = Connections(service.max_connections, _tls(service))
        self.jobs = asyncio.Semaphore(service.concurrency) if service.concurrency else None
        # One at a time, evenly spaced: a burst is what the limit is to keep from the service.
        self.rate = AsyncLimiter(1, 1 / service.rate) if service.rate else None


class ServiceClient:
    """Sends requests to a service.

    :ivar mask: the service's secrets; of those that are renewed, the earlier ones, too
    :ivar url: where it is
    """

    def __init__(self, service: Service) -> None:
        self.mask = Mask()
        self.url = service.url
        self._service = service
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, _Resources] = (
            WeakKeyDictionary()
        )

    @property
    def _here(self) -> _Resources:
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop[loop] = _Resources(self._service)
        return self._by_loop[loop]

    @contextlib.asynccontextmanager
    async def place(self, tell: Callable[[str], None]) -> AsyncIterator[None]:
        """Hold one of the places that the service has for jobs; wait for one where all are taken.

        :param tell: is told that there is none, if so
        """
        jobs = self._here.jobs
        if jobs is None:
            yield
            return
        if jobs.locked():
            tell(f"Waits: the service does {self._service.concurrency} jobs at a time")
        async with jobs:
            yield

    async def send(
        self,
        call: Call,
        *,
        takes: frozenset[int] = frozenset(),
        again: bool = True,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Reply:
        """Send a request until it is answered, as often as the service's ``retries`` say.

        :param takes: status codes that are answers to the caller, no errors
        :param again: False for one try only
        :param tell: is told of each failure after which the request is sent again
        :raises ApplicationError: it failed, in the service's words
        """
        if not again:
            return await self._once(call, takes)
        rules = self._service.retries
        retrying = AsyncRetrying(
            stop=stop_after_attempt(rules.limit + 1),
            wait=_Wait(rules),
            retry=retry_if_exception(_is_worth_it),
            before_sleep=lambda state: tell(_words(state, rules)),
            reraise=True,
        )
        reply: Reply = await retrying(self._once, call, takes)
        return reply

    async def _once(self, call: Call, takes: frozenset[int]) -> Reply:
        here = self._here
        if here.rate is not None:
            await here.rate.acquire()
        async with here.connections.one() as client:
            return await self._answered(client, call, takes)

    async def _answered(
        self, client: httpx.AsyncClient, call: Call, takes: frozenset[int]
    ) -> Reply:
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
        if response.is_success or response.status_code in takes:
            return Reply(response, retry_after(response), mask)
        raise refused(response, mask)

    def _credentials(self) -> Mapping[str, str]:
        """Return the headers that say who we are, each secret read again: it may be renewed.

        :raises RequestFailed: a secret cannot be read now
        """
        try:
            credentials = credentials_of(self._service)
        except ValueError as error:
            raise RequestFailed(
                f"the credentials for {self._service.url} cannot be used: {error}",
                type="credentials_unusable",
            ) from None
        self.mask.learn(*credentials.secrets)
        return credentials.headers

    async def _read(self, stream: httpx.Response, mask: Mask) -> httpx.Response:
        """Return an answer with its body, of which no more is read than the service may send."""
        limit = self._service.max_answer_bytes
        body = bytearray()
        try:
            async for part in stream.aiter_bytes():
                body += part
                if len(body) > limit:
                    why = f"its body is larger than max_answer_bytes, {limit}"
                    # What a job has returned, it would return again.
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
    return invalid_payload(f"the payload makes a request that cannot be sent: {why}")


class _Wait(wait_base):
    """Exponential and with jitter, but no sooner than the service asks."""

    def __init__(self, rules: Retries) -> None:
        self._usual = Backoff(rules.initial, rules.factor, rules.maximum, rules.jitter).wait()

    def __call__(self, retry_state: RetryCallState) -> float:
        failure = _failure(retry_state)
        asked = failure.retry_after if isinstance(failure, RequestFailed) else 0.0
        return max(asked, self._usual(retry_state))


def _is_worth_it(error: BaseException) -> bool:
    return isinstance(error, RequestFailed) and error.retryable


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _words(state: RetryCallState, rules: Retries) -> str:
    return (
        f"Try {state.attempt_number} of {rules.limit + 1} failed: {_failure(state)}; the next one "
        f"is in {state.upcoming_sleep:.1f} s"
    )


def _tls(service: Service) -> ssl.SSLContext:
    if service.ca_bundle is None:
        return httpx.create_ssl_context()
    return ssl.create_default_context(cafile=str(service.ca_bundle))
