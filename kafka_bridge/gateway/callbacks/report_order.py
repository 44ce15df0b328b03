"""Which of the reports that a service calls back are old: they come twice, and out of order."""

from __future__ import annotations

from kafka_bridge.gateway.http.job_status import Report
from kafka_bridge.gateway.http.states import State
from kafka_bridge.protocol.messages import Progress


class ReportOrder:
    """Knows how far one job has come by what was called back about it.

    Progress counts as going back only where it is counted in the same way: of as many, in the same
    unit. A service may do its work in several passes.
    """

    def __init__(self) -> None:
        self._last: Report | None = None
        self._furthest: Progress | None = None

    def is_old(self, report: Report) -> bool:
        """Tell whether a report says nothing new, else take it in. The end of a job is never old.

        It is old when it is the same as the last one, or its progress is behind what was seen.
        """
        if report.state is not State.RUNNING:
            return False
        if report == self._last or self._is_behind(report.progress):
            return True
        self._last = report
        self._furthest = report.progress or self._furthest
        return False

    def _is_behind(self, progress: Progress | None) -> bool:
        furthest = self._furthest
        return (
            progress is not None
            and furthest is not None
            and (progress.total, progress.unit) == (furthest.total, furthest.unit)
            and progress.completed < furthest.completed
        )
