"""One job that an HTTP service does: from its submit to its end, or to its cancel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kafka_bridge.gateway.expression_scope import scope_of
from kafka_bridge.gateway.http.answer import ServiceAnswer
from kafka_bridge.gateway.http.callback_wait import CallbackSource, called_back_end
from kafka_bridge.gateway.http.client import ServiceClient
from kafka_bridge.gateway.http.config import HttpJob, Mode, Polling
from kafka_bridge.gateway.http.external_id import external_id_of
from kafka_bridge.gateway.http.job_status import ServiceState, StatusReport
from kafka_bridge.gateway.http.polling import fetch, poll
from kafka_bridge.gateway.http.request_errors import RequestFailed
from kafka_bridge.gateway.http.requests import call_about, submit_call
from kafka_bridge.gateway.http.status_reports import Reports, Tell, first_end
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.outbound import GatewayHandler, MaskedJob
from kafka_bridge.worker import ApplicationError, JobStopped, StopReason

CONFLICT = 409
CANCEL_SECONDS = 30.0
"""How long a cancel request may take, tries and all: a person waits for its outcome."""


class HttpHandler(GatewayHandler):
    """Does jobs of one type by a service.

    :param callbacks: for a job type in callback mode
    :param unknown_words: counts what the service says and the file does not list, by job type
    """

    def __init__(
        self,
        config: HttpJob,
        client: ServiceClient,
        callbacks: CallbackSource | None = None,
        unknown_words: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._client = client
        self._callbacks = callbacks
        self._unknown_words = unknown_words

    def mask(self) -> Mask:
        """Return a mask for the service's secrets, and those that it signs with."""
        mask = Mask(beside=self._client.mask)
        if self._config.signature is not None:
            with contextlib.suppress(ValueError):  # it cannot be read, so nothing is signed with it
                mask.learn(self._config.signature.secret.reveal())
        return mask

    async def do(self, job: MaskedJob, payload: Any) -> Any:
        """Have the service do a job, and return its result.

        :raises ApplicationError: it failed, in the service's words
        :raises JobStopped: the job was cancelled, and so it was at the service
        """
        scope = scope_of(job, payload)
        async with self._client.place(job.message):
            try:
                return await self._done(job, scope)
            except asyncio.CancelledError:
                await self._stop(job, scope)
                raise

    async def _done(self, job: MaskedJob, scope: dict[str, Any]) -> Any:
        tell = Reports(job, self._unknown_words).tell
        match self._config.mode:
            case Mode.SYNCHRONOUS:
                return self._answer_is_result(await self._submit(job, scope))
            case Mode.POLLING:
                await self._begin(job, scope)
                polling = self._config.polling or Polling()
                end = await self._watched(job, scope, self._polled(job, scope, polling, tell))
            case Mode.CALLBACK:
                end = await self._called_back(job, scope, tell)
        return await self._outcome(job, scope, end)

    # Submitting.

    async def _begin(self, job: MaskedJob, scope: dict[str, Any]) -> None:
        """Submit the job, unless an earlier delivery has; from then on it has an external id.

        :raises ApplicationError: as :meth:`_submitted`; or that id cannot be published, and the job
            is cancelled
        """
        if job.external_id is not None:
            scope["external_id"] = job.external_id
            return
        scope["external_id"] = name = await self._submitted(job, scope)
        try:
            job.set_external_id(name)
        except ApplicationError as error:
            raise await self._given_up(job, scope, error) from None

    async def _submitted(self, job: MaskedJob, scope: dict[str, Any]) -> str:
        """Submit the job; return what the service calls it.

        :raises ApplicationError: it cannot be submitted, or watched. If it may run, it is cancelled
        """
        try:
            reply = await self._submit(job, scope)
            return external_id_of(self._config, self._client.url, reply, scope)
        except RequestFailed as error:
            if error.may_have_begun and self._may_cancel(scope):
                raise await self._given_up(job, scope, error) from None
            raise

    async def _submit(self, job: MaskedJob, scope: Mapping[str, Any]) -> ServiceAnswer:
        return await self._client.send(
            submit_call(self._config, scope, job.mask),
            takes=self._already_exists(),
            tell=job.message,
        )

    def _already_exists(self) -> frozenset[int]:
        if self._config.already_exists is not None:
            return self._config.already_exists
        submit = self._config.submit
        names_jobs = submit.external_id is not None or submit.external_id_header is not None
        return frozenset() if names_jobs else frozenset({CONFLICT})

    # Waiting.

    async def _watched(
        self, job: MaskedJob, scope: dict[str, Any], watching: Awaitable[StatusReport]
    ) -> StatusReport:
        """Return the end; where it can no longer be known, cancel the job at the service first."""
        try:
            return await watching
        except RequestFailed as error:
            if error.is_final:  # there is nothing left to cancel
                raise
            raise await self._given_up(job, scope, error) from None
        except Exception as error:
            raise await self._given_up(job, scope, error) from error

    async def _given_up(self, job: MaskedJob, scope: dict[str, Any], error: Exception) -> Exception:
        """Cancel the job at the service; return the error, with what came of that.

        Not where it is being handed over: another gateway goes on watching it.
        """
        if job.stop_reason in {StopReason.RELEASED, StopReason.LOST}:
            return error
        message = f"{error}; {await self._cancel_there(job, scope)}"
        if isinstance(error, ApplicationError):
            return ApplicationError(
                message, type=error.type, details=error.details, retryable=error.retryable
            )
        return ApplicationError(message, type=type(error).__qualname__)

    async def _polled(
        self, job: MaskedJob, scope: Mapping[str, Any], polling: Polling, tell: Tell
    ) -> StatusReport:
        call = call_about(polling, scope, job.mask)
        return await poll(self._client, call, polling, self._config.answer, tell)

    async def _called_back(self, job: MaskedJob, scope: dict[str, Any], tell: Tell) -> StatusReport:
        """Wait for the end that the service calls back; where the file says so, ask as well."""
        assert self._callbacks is not None  # noqa: S101  the file was checked for it
        url = scope["callback_url"] = self._callbacks.url(job.correlation_id, job.job_type)
        job.mask.learn(url, url.rpartition("/")[2])
        # An earlier delivery may have submitted it and died before it said so.
        is_new = job.delivery == 1 and job.external_id is None
        since = None if is_new else job.request.created_at
        async with self._callbacks.listen(job.correlation_id, since) as callbacks:
            await self._begin(job, scope)
            patience = self._config.silence_timeout or self._callbacks.expires_after
            ends = [called_back_end(self._config.answer, callbacks, patience, job.mask, tell)]
            if self._config.polling is not None:
                ends.append(self._polled(job, scope, self._config.polling, tell))
            return await self._watched(job, scope, first_end(*ends))

    # Ending.

    def _answer_is_result(self, reply: ServiceAnswer) -> Any:
        return reply.part(self._config.answer.result)

    async def _outcome(self, job: MaskedJob, scope: Mapping[str, Any], end: StatusReport) -> Any:
        if end.error is not None:
            raise end.error
        if end.state is ServiceState.CANCELLED:
            raise ApplicationError(
                f"the job was cancelled at the service: {end.message or 'it says no more'}",
                type="cancelled_at_service",
                details="",
                retryable=False,
            )
        request = self._config.result
        if request is None:
            return end.result
        call = call_about(request, scope, job.mask)
        polling = self._config.polling or Polling()
        return await fetch(
            self._client, call, polling, lambda reply: reply.part(request.value), job.message
        )

    async def _stop(self, job: MaskedJob, scope: dict[str, Any]) -> None:
        """Cancel the job at the service, where it was cancelled here.

        Where this gateway only hands it over, the service goes on: another one waits for its end.

        :raises JobStopped: what has become of it there
        """
        if job.stop_reason not in {StopReason.CANCELLED, StopReason.DEADLINE}:
            return
        try:
            job.raise_if_stopped()
        except JobStopped as stopped:
            words = await self._cancel_there(job, scope)
            raise JobStopped(stopped.reason, f"{stopped}; {words}") from None

    def _may_cancel(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether there is a cancel request, and all that it needs is known."""
        request, submit = self._config.cancel, self._config.submit
        if request is None:
            return False
        is_ours = submit.external_id is None and submit.external_id_header is None
        return is_ours or "external_id" in scope or "external_id" not in request.names

    async def _cancel_there(self, job: MaskedJob, scope: dict[str, Any]) -> str:
        """Send the cancel request; return what came of it, in words."""
        request = self._config.cancel
        if request is None:
            return "abandoned: the service is not asked to cancel its jobs and may go on with this"
        if not self._may_cancel(scope):
            return "abandoned: the service had not said yet what it calls the job"
        scope.setdefault("external_id", scope["job_id"])
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._client.send(call_about(request, scope, job.mask))
        except ApplicationError as error:
            return f"the service did not cancel it: {error}"
        except TimeoutError:
            return f"the service did not cancel it within {CANCEL_SECONDS:g} s"
        return "the service has cancelled it"
