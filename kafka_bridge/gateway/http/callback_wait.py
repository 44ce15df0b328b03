"""Waits for the callback that ends a job."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.job_status import ServiceState, StatusReport
from kafka_bridge.gateway.http.status_reports import Publish, ReportOrder, read_callback
from kafka_bridge.gateway.mask import Mask
from kafka_bridge.worker import ApplicationError


class CallbackStream(Protocol):
    """The callbacks for one job."""

    async def next(self) -> Any:
        """Wait for the next callback; return its body as a JSON value."""


class CallbackSource(Protocol):
    """Makes callback URLs and receives callbacks."""

    @property
    def expires_after(self) -> float:
        """The seconds for which a callback URL is valid."""

    def url(self, job_id: str, job_type: str) -> str:
        """Return the callback URL of a job."""

    def listen(
        self, job_id: str, since: datetime | None
    ) -> AbstractAsyncContextManager[CallbackStream]:
        """Receive the callbacks of a job inside the block.

        :param since: also receive callbacks that arrived since then
        """


async def called_back_end(
    answer: Answer, callbacks: CallbackStream, patience: float, mask: Mask, publish: Publish
) -> StatusReport:
    """Return the final report that the service calls back with.

    :param patience: the seconds that may pass without a callback
    :param publish: is called with each new report before the final one
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
            publish(report)
