"""Runs a job on an HTTP service: submits it, waits for its end, cancels it."""

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
from kafka_bridge.gateway.http.status_reports import Publish, ReportPublisher, first_final
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.gateway.outbound import GatewayHandler, MaskedJob
from kafka_bridge.worker import ApplicationError, JobStopped, StopReason

CONFLICT = 409
CANCEL_SECONDS = 30.0
"""The timeout of a cancel request with its retries: a person waits for the outcome."""


class HttpHandler(GatewayHandler):
    """Runs the jobs of one type on a service.

    :param callbacks: needed for a job type in callback mode
    :param count_unknown_state: is called with the job type for each unknown word for a state
    """

    def __init__(
        self,
        config: HttpJob,
        client: ServiceClient,
        callbacks: CallbackSource | None = None,
        count_unknown_state: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._config = config
        self._client = client
        self._callbacks = callbacks
        self._count_unknown_state = count_unknown_state

    def mask(self) -> Mask:
        """Return a mask for the service's secrets and its signing secret."""
        mask = Mask(beside=self._client.mask)
        if self._config.signature is not None:
            with contextlib.suppress(ValueError):  # an unreadable secret has signed nothing
                mask.add(self._config.signature.secret.reveal())
        return mask

    async def do(self, job: MaskedJob, payload: Any) -> Any:
        """Run a job on the service; return its result.

        :raises ApplicationError: the job failed, with the service's message
        :raises JobStopped: the job was cancelled; the message says whether the service confirmed
        """
        scope = scope_of(job, payload)
        async with self._client.slot(job.message):
            try:
                return await self._run(job, scope)
            except asyncio.CancelledError:
                await self._stop(job, scope)
                raise

    async def _run(self, job: MaskedJob, scope: dict[str, Any]) -> Any:
        publish = ReportPublisher(job, self._count_unknown_state).publish
        match self._config.mode:
            case Mode.SYNCHRONOUS:
                answer = await self._submit(job, scope)
                return answer.part(self._config.answer.result)
            case Mode.POLLING:
                await self._ensure_submitted(job, scope)
                polling = self._config.polling or Polling()
                end = await self._await_end(job, scope, self._polled(job, scope, polling, publish))
            case Mode.CALLBACK:
                end = await self._called_back(job, scope, publish)
        return await self._outcome(job, scope, end)

    # Submit.

    async def _ensure_submitted(self, job: MaskedJob, scope: dict[str, Any]) -> None:
        """Submit the job, unless an earlier delivery did; afterwards it has an external id.

        :raises ApplicationError: as :meth:`_submitted`; or the id cannot be published, and the job
            is cancelled
        """
        if job.external_id is not None:
            scope["external_id"] = job.external_id
            return
        scope["external_id"] = name = await self._submitted(job, scope)
        try:
            job.set_external_id(name)
        except ApplicationError as error:
            raise await self._abandoned(job, scope, error) from None

    async def _submitted(self, job: MaskedJob, scope: dict[str, Any]) -> str:
        """Submit the job; return its external id.

        :raises ApplicationError: the submit failed, or its answer does not contain the id. The job
            is cancelled if it may be running
        """
        try:
            answer = await self._submit(job, scope)
            return external_id_of(self._config, self._client.url, answer, scope)
        except RequestFailed as error:
            if error.may_have_begun and self._may_cancel(scope):
                raise await self._abandoned(job, scope, error) from None
            raise

    async def _submit(self, job: MaskedJob, scope: Mapping[str, Any]) -> ServiceAnswer:
        return await self._client.send(
            submit_call(self._config, scope, job.mask),
            accepts=self._already_exists(),
            report=job.message,
        )

    def _already_exists(self) -> frozenset[int]:
        if self._config.already_exists is not None:
            return self._config.already_exists
        submit = self._config.submit
        names_jobs = submit.external_id is not None or submit.external_id_header is not None
        return frozenset() if names_jobs else frozenset({CONFLICT})

    # Wait.

    async def _await_end(
        self, job: MaskedJob, scope: dict[str, Any], waiting: Awaitable[StatusReport]
    ) -> StatusReport:
        """Return the final report; if it cannot be received any more, cancel the job first."""
        try:
            return await waiting
        except RequestFailed as error:
            if error.is_final:  # the service has forgotten the job
                raise
            raise await self._abandoned(job, scope, error) from None
        except Exception as error:
            raise await self._abandoned(job, scope, error) from error

    async def _abandoned(
        self, job: MaskedJob, scope: dict[str, Any], error: Exception
    ) -> Exception:
        """Cancel the job at the service; return the error with the outcome of the cancel.

        A job that was released or lost is not cancelled: another gateway takes over.
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
        self, job: MaskedJob, scope: Mapping[str, Any], polling: Polling, publish: Publish
    ) -> StatusReport:
        call = call_about(polling, scope, job.mask)
        return await poll(self._client, call, polling, self._config.answer, publish)

    async def _called_back(
        self, job: MaskedJob, scope: dict[str, Any], publish: Publish
    ) -> StatusReport:
        """Wait for the final callback; also poll, if the file configures it."""
        assert self._callbacks is not None  # noqa: S101  the check of the file ensures it
        url = scope["callback_url"] = self._callbacks.url(job.correlation_id, job.job_type)
        job.mask.add(url, url.rpartition("/")[2])
        # An earlier delivery may have submitted the job and died before it published this.
        is_new = job.delivery == 1 and job.external_id is None
        since = None if is_new else job.request.created_at
        async with self._callbacks.listen(job.correlation_id, since) as callbacks:
            await self._ensure_submitted(job, scope)
            patience = self._config.silence_timeout or self._callbacks.expires_after
            ends = [called_back_end(self._config.answer, callbacks, patience, job.mask, publish)]
            if self._config.polling is not None:
                ends.append(self._polled(job, scope, self._config.polling, publish))
            return await self._await_end(job, scope, first_final(*ends))

    # End.

    async def _outcome(self, job: MaskedJob, scope: Mapping[str, Any], end: StatusReport) -> Any:
        if end.error is not None:
            raise end.error
        if end.state is ServiceState.CANCELLED:
            raise ApplicationError(
                f"the job was cancelled at the service: {end.message or '(no message)'}",
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
            self._client, call, polling, lambda answer: answer.part(request.value), job.message
        )

    async def _stop(self, job: MaskedJob, scope: dict[str, Any]) -> None:
        """Cancel the job at the service if it was cancelled or has expired.

        A job that is only released goes on at the service, and another gateway takes over.

        :raises JobStopped: the reason, with the outcome of the cancel
        """
        stopped_by = {StopReason.CANCELLED, StopReason.DEADLINE, StopReason.TIME_LIMIT}
        if job.stop_reason not in stopped_by:
            return
        try:
            job.raise_if_stopped()
        except JobStopped as stopped:
            words = await self._cancel_there(job, scope)
            raise JobStopped(stopped.reason, f"{stopped}; {words}") from None

    def _may_cancel(self, scope: Mapping[str, Any]) -> bool:
        """Return whether a cancel request is configured and all its values are known."""
        request, submit = self._config.cancel, self._config.submit
        if request is None:
            return False
        is_ours = submit.external_id is None and submit.external_id_header is None
        return is_ours or "external_id" in scope or "external_id" not in request.names

    async def _cancel_there(self, job: MaskedJob, scope: dict[str, Any]) -> str:
        """Send the cancel request; return its outcome as text."""
        request = self._config.cancel
        if request is None:
            return "abandoned: no cancel request is configured, the service may go on with the job"
        if not self._may_cancel(scope):
            return "abandoned: the external id of the job was not known yet"
        scope.setdefault("external_id", scope["job_id"])
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await self._client.send(call_about(request, scope, job.mask))
        except ApplicationError as error:
            return f"the service did not cancel it: {error}"
        except TimeoutError:
            return f"the service did not confirm the cancel within {CANCEL_SECONDS:g} s"
        return "the service cancelled it"
