"""One job that an HTTP service does: from its submit to its end, or to its cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from kafka_bridge.gateway.callbacks.order import ReportOrder
from kafka_bridge.gateway.http.answers import Report, State, read_answer
from kafka_bridge.gateway.http.client import Reply, ServiceClient
from kafka_bridge.gateway.http.config import HttpJob, Mode, Polling, Request
from kafka_bridge.gateway.http.polling import poll
from kafka_bridge.gateway.http.requests import call_about, submit_call
from kafka_bridge.gateway.scope import scope_of
from kafka_bridge.gateway.words import text_of
from kafka_bridge.worker import ApplicationError, JobContext, JobStopped, StopReason

CONFLICT = 409
CANCEL_SECONDS = 30.0
"""How long a cancel request may take, tries and all: a person waits for its outcome."""


class CalledBack(Protocol):
    """The callbacks for one job."""

    async def next(self) -> Any:
        """Return the body of the next callback, as JSON gives it; wait for it."""


class Callbacks(Protocol):
    """Where callbacks arrive, and how a service gets there."""

    @property
    def expires_after(self) -> float:
        """The seconds for which a URL is good."""

    def url(self, job_id: str, job_type: str) -> str:
        """Return the URL to call back to for a job."""

    def listen(
        self, job_id: str, since: datetime | None
    ) -> AbstractAsyncContextManager[CalledBack]:
        """Hear the callbacks for a job inside the block.

        :param since: hear those that have come since then, too
        """


class HttpHandler:
    """Does jobs of one type by a service.

    :param callbacks: for a job type in callback mode
    """

    def __init__(
        self, config: HttpJob, client: ServiceClient, callbacks: Callbacks | None = None
    ) -> None:
        self._config = config
        self._client = client
        self._callbacks = callbacks

    async def handle(self, job: JobContext, payload: Any) -> Any:
        """Have the service do a job, and return its result.

        :raises ApplicationError: it failed, in the service's words
        :raises JobStopped: the job was cancelled, and so it was at the service
        """
        scope = scope_of(job, payload)
        async with self._client.place(job.message):
            try:
                return await self._do(job, scope)
            except asyncio.CancelledError:
                await self._stop(job, scope)
                raise

    async def _do(self, job: JobContext, scope: dict[str, Any]) -> Any:
        match self._config.mode:
            case Mode.SYNCHRONOUS:
                return self._answer_is_result(await self._submit(job, scope))
            case Mode.POLLING:
                await self._begin(job, scope)
                end = await self._polled(job, scope, self._config.polling or Polling())
            case Mode.CALLBACK:
                end = await self._called_back(job, scope)
        return await self._outcome(scope, end)

    # Submitting.

    async def _begin(self, job: JobContext, scope: dict[str, Any]) -> None:
        """Submit the job, unless an earlier delivery has; from then on it has an external id."""
        if job.external_id is None:
            reply = await self._submit(job, scope)
            job.set_external_id(self._external_id(reply, scope))
        scope["external_id"] = job.external_id

    async def _submit(self, job: JobContext, scope: Mapping[str, Any]) -> Reply:
        return await self._client.send(
            submit_call(self._config, scope), takes=self._already_exists(), tell=job.message
        )

    def _already_exists(self) -> frozenset[int]:
        if self._config.already_exists is not None:
            return self._config.already_exists
        return frozenset() if self._config.submit.external_id else frozenset({CONFLICT})

    def _external_id(self, reply: Reply, scope: Mapping[str, Any]) -> str:
        where = self._config.submit.external_id
        if where is None:
            return str(scope["job_id"])
        found = text_of(where.search(reply.json()))
        if not found:
            why = f"external_id, {where.text!r}, is not in it: the job may run there unwatched"
            raise reply.unreadable(why, retryable=False)
        return found

    # Waiting.

    async def _polled(self, job: JobContext, scope: Mapping[str, Any], polling: Polling) -> Report:
        return await poll(
            self._client,
            call_about(polling, scope),
            polling,
            self._config.answer,
            lambda report: _tell(job, report),
        )

    async def _called_back(self, job: JobContext, scope: dict[str, Any]) -> Report:
        """Wait for the end that the service calls back; where the file says so, ask as well."""
        assert self._callbacks is not None  # noqa: S101  the file was checked for it
        scope["callback_url"] = self._callbacks.url(job.correlation_id, job.job_type)
        # An earlier delivery may have submitted it and died before it said so.
        is_new = job.delivery == 1 and job.external_id is None
        since = None if is_new else job.request.created_at
        async with self._callbacks.listen(job.correlation_id, since) as callbacks:
            await self._begin(job, scope)
            ends = {asyncio.create_task(self._heard(job, callbacks))}
            if self._config.polling is not None:
                ends.add(asyncio.create_task(self._polled(job, scope, self._config.polling)))
            try:
                done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                return done.pop().result()
            finally:
                for each in ends:
                    each.cancel()

    async def _heard(self, job: JobContext, callbacks: CalledBack) -> Report:
        """Return the end that is called back."""
        assert self._callbacks is not None  # noqa: S101  as above
        patience = self._config.silence_timeout or self._callbacks.expires_after
        order = ReportOrder()
        while True:
            try:
                async with asyncio.timeout(patience):
                    body = await callbacks.next()
            except TimeoutError:
                raise ApplicationError(
                    f"the service has not called back for {patience:g} s: can it reach the "
                    "public_url of callbacks, and does it still know of the job?",
                    type="no_callback",
                    details="",
                ) from None
            report = read_answer(self._config.answer, body)
            if report.state is not State.RUNNING:
                return report
            if not order.is_old(report):
                _tell(job, report)

    # Ending.

    def _answer_is_result(self, reply: Reply) -> Any:
        where = self._config.answer.result
        return reply.value() if where is None else where.search(reply.json())

    async def _outcome(self, scope: Mapping[str, Any], end: Report) -> Any:
        if end.error is not None:
            raise end.error
        if end.state is State.CANCELLED:
            raise ApplicationError(
                f"the job was cancelled at the service: {end.message or 'it says no more'}",
                type="cancelled_at_service",
                details="",
                retryable=False,
            )
        fetch = self._config.result
        if fetch is None:
            return end.result
        reply = await self._client.send(call_about(fetch, scope))
        return reply.value() if fetch.value is None else fetch.value.search(reply.json())

    async def _stop(self, job: JobContext, scope: dict[str, Any]) -> None:
        """Cancel the job at the service, where it was cancelled here.

        Where this gateway only hands it over, the service goes on: another one waits for its end.

        :raises JobStopped: what has become of it there
        """
        if job.stop_reason not in {StopReason.CANCELLED, StopReason.DEADLINE}:
            return
        try:
            job.check_cancelled()
        except JobStopped as stopped:
            words = await self._cancel_there(scope)
            raise JobStopped(stopped.reason, f"{stopped}; {words}") from None

    async def _cancel_there(self, scope: dict[str, Any]) -> str:
        """Send the cancel request; return what came of it, in words."""
        request = self._config.cancel
        if request is None:
            return "abandoned: the service is not asked to cancel its jobs and may go on with this"
        if "external_id" not in scope and self._config.submit.external_id is None:
            scope["external_id"] = scope["job_id"]
        if "external_id" not in scope:
            return "abandoned: the service had not said yet what it calls the job"
        return await self._send_cancel(request, scope)

    async def _send_cancel(self, request: Request, scope: Mapping[str, Any]) -> str:
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._client.send(call_about(request, scope))
        except ApplicationError as error:
            return f"the service did not cancel it: {error}"
        except TimeoutError:
            return f"the service did not cancel it within {CANCEL_SECONDS:g} s"
        return "the service has cancelled it"


def _tell(job: JobContext, report: Report) -> None:
    progress = report.progress
    if progress is not None:
        job.progress(
            progress.completed, total=progress.total, unit=progress.unit, message=report.message
        )
    elif report.message is not None:
        job.message(report.message)
