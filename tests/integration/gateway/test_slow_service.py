"""A service that does few jobs at a time: its jobs wait, those of others do not."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from integration.gateway.conftest import SetUp
from integration.gateway.service import CountingService
from integration.jobs import request
from integration.worker.endings import ends_of, told
from integration.worker.programs import Stage
from kafka_bridge.protocol.messages import JobRequest, JobState

if TYPE_CHECKING:
    from conftest import Eventually

PLACES = 5


def test_slow_service_holds_up_no_other(
    set_up: SetUp, service: CountingService, eventually: Eventually
) -> None:
    """1,500 jobs of one service lie before 100 of another: these are done, whatever those do.

    The slow one has as many as it bears. The tasks whose turn is next are told what they wait for.
    """
    polling = {"interval": 0.2, "maximum": 1}
    stage = set_up(
        {
            "slow": {"service": "slow", "polling": polling},
            "quick": {"service": "quick", "polling": polling},
        },
        services={
            "slow": {"url": service.url, "concurrency": PLACES},
            "quick": {"url": service.url},
        },
    )
    slow, quick = _jobs(stage, "slow", 1_500, 600.0), _jobs(stage, "quick", 100, 0.1)
    stage.publish(*slow, *quick)
    stage.start()
    assert Counter(end.state for end in ends_of(stage, quick)) == {JobState.SUCCEEDED: 100}
    assert len(service.begun) == 100 + PLACES

    words = f"Waiting: the service runs at most {PLACES} jobs at a time"

    def next_ones() -> list[str]:
        return [
            job
            for job, events in told(stage).items()
            if any(each.message == words for each in events)
        ]

    eventually(lambda: len(next_ones()) == PLACES, "the next ones say what they wait for")
    accepted = {job for job, events in told(stage).items() if events} - {
        job.correlation_id for job in quick
    }
    assert len(accepted) == 2 * PLACES


def _jobs(stage: Stage, job_type: str, count: int, seconds: float) -> list[JobRequest]:
    return [
        request(job_type, stage.responses, {"number": number, "seconds": seconds})
        for number in range(count)
    ]
