"""Reports that come twice and out of order: what is left is news."""

from __future__ import annotations

import random

import pytest

from kafka_bridge.gateway.http.job_status import ServiceState, StatusReport
from kafka_bridge.gateway.http.status_reports import ReportOrder
from kafka_bridge.protocol.messages import Progress

RUNNING, ENDED = ServiceState.RUNNING, ServiceState.SUCCEEDED
SEED = 20261125


def at(completed: float, total: float | None = 10, unit: str | None = None) -> StatusReport:
    """Return a report of progress."""
    return StatusReport(RUNNING, progress=Progress(completed, total, unit))


def saying(message: str) -> StatusReport:
    """Return a report without progress."""
    return StatusReport(RUNNING, message=message)


@pytest.mark.parametrize(
    ("reports", "news"),
    [
        ([at(1), at(1), at(2)], [at(1), at(2)]),
        ([at(3), at(1), at(2), at(4)], [at(3), at(4)]),
        ([at(9), at(0, total=50), at(1, total=50)], [at(9), at(0, total=50), at(1, total=50)]),
        ([at(9, unit="rows"), at(1, unit="files")], [at(9, unit="rows"), at(1, unit="files")]),
        ([at(5, None), at(4, None)], [at(5, None)]),
        ([saying("a"), saying("a"), saying("b"), saying("a")], list(map(saying, "aba"))),
        ([at(5), saying("a"), at(4), at(5)], [at(5), saying("a"), at(5)]),
        (
            [at(5), StatusReport(ENDED), StatusReport(ENDED)],
            [at(5), StatusReport(ENDED), StatusReport(ENDED)],
        ),
        ([at(5), StatusReport(ENDED, progress=Progress(1, 10))], None),
    ],
    ids=[
        *("twice", "going back", "another pass", "another unit", "no total", "messages"),
        *("a message between", "ends", "an end that goes back"),
    ],
)
def test_old_reports_are_recognised(
    reports: list[StatusReport], news: list[StatusReport] | None
) -> None:
    """Repetitions and progress that goes back are old; another pass, and every end, is not."""
    order = ReportOrder()
    assert [each for each in reports if not order.is_old(each)] == (news or reports)


def test_shuffled_progress_only_rises() -> None:
    """However callbacks are repeated and shuffled, what is told of progress never goes back."""
    chance = random.Random(SEED)
    for _ in range(200):
        reports = [at(number) for number in chance.choices(range(10), k=30)]
        order = ReportOrder()
        told = [each.progress for each in reports if not order.is_old(each)]
        completed = [each.completed for each in told if each is not None]
        assert completed == sorted(set(completed))
        assert completed[-1] == max(each.progress.completed for each in reports if each.progress)
