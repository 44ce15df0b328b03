"""Waits for the callback that ends a job."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.job_status import ServiceState, StatusReport
from kafka_bridge.gateway.http.status_reports import ReportOrder, Tell, read_callback
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.worker import ApplicationError


class CallbackStream(Protocol):
    """The callbacks for one job."""

    async def next(self) -> Any:
        """Return the body of the next callback, as JSON gives it; wait for it."""


class CallbackSource(Protocol):
    """Where callbacks arrive, and how a service gets there."""

    @property
    def expires_after(self) -> float:
        """The seconds for which a URL is good."""

    def url(self, job_id: str, job_type: str) -> str:
        """Return the URL to call back to for a job."""

    def listen(
        self, job_id: str, since: datetime | None
    ) -> AbstractAsyncContextManager[CallbackStream]:
        """Hear the callbacks for a job inside the block.

        :param since: hear those that have come since then, too
        """


async def called_back_end(
    answer: Answer, callbacks: CallbackStream, patience: float, mask: Mask, tell: Tell
) -> StatusReport:
    """Return the final report that the service calls back with.

    :param patience: the seconds that may pass without a callback
    :param tell: is called with each new report before the final one
    :raises ApplicationError: no callback came for that time
    """
    order = ReportOrder()
    while True:
        try:
            async with asyncio.timeout(patience):
                body = await callbacks.next()
        except TimeoutError:
            raise ApplicationError(
                f"no callback from the service for {patience:g} s. Check that it can reach the "
                "public_url of callbacks, and that it still knows the job",
                type="no_callback",
                details="",
            ) from None
        report = read_callback(answer, body, mask)
        if report is None:
            continue
        if report.state is not ServiceState.RUNNING:
            return report
        if not order.is_old(report):
            tell(report)
