"""Jobs that wait with the triggers of Airflow's own Kafka provider, against our trigger.

Theirs: :mod:`bench.provider_triggers`. Ours: the same number of jobs, each with a
:class:`KafkaJobTrigger`, on another topic with the same number of replies in the same shuffled
order. The time is from the signal to publish, which another process receives, until every trigger
has yielded its event. Without a triggerer and a database, only the waiting is compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bench.measure import Result, Round, Scale, Target
from bench.provider_triggers import time_awaiting, time_sharing
from bench.traffic import ends_of, job_ids, new_topic
from bench.trigger_rounds import (
    first_event,
    kafka_connection,
    quiet_logs,
    time_until_all_fired,
)
from kafka_bridge.airflow.triggers import KafkaJobTrigger

AWAITING, AWAITING_SHORT = 10, 4
SHARING = 1000
SETTLE_SECONDS = 3.0
"""Time for the reader to become live after the first trigger's start. Measured: well under 1 s."""


def run(servers: str, scale: Scale, say: Callable[[str], None]) -> list[Result]:
    """Measure both rows."""
    with quiet_logs():
        return [_awaiting(servers, scale, say), _sharing(servers, scale, say)]


def _awaiting(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    count = AWAITING_SHORT if scale.short else AWAITING
    result = Result(
        f"{count} waiting jobs, {count} shuffled replies: time until every job has its event",
        "the provider's `AwaitMessageTrigger`",
        "s",
        Target(">=", 1000),
        figure=_times_faster,
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"AwaitMessageTrigger, {count} waiting, round {number + 1}")
        peer = asyncio.run(time_awaiting(servers, count))
        result.rounds.append(Round(asyncio.run(_time_ours(servers, count)), peer))
    return result


def _sharing(servers: str, scale: Scale, say: Callable[[str], None]) -> Result:
    result = Result(
        f"{SHARING:,} waiting jobs, {SHARING:,} shuffled replies: time until every job has its "
        "event",
        "the provider's shared stream with a filter",
        "s",
        Target(">=", 50),
        figure=_times_faster,
        summary=f"{SHARING:,} waiting tasks have their replies after {{ours}}. With the trigger of "
        "Airflow's own Kafka provider it takes {peer}.",
    )
    for number in range(1 if scale.short else scale.rounds(2)):
        say(f"shared stream, {SHARING:,} waiting, round {number + 1}")
        peer = asyncio.run(time_sharing(servers, SHARING))
        result.rounds.append(Round(asyncio.run(_time_ours(servers, SHARING)), peer))
    return result


def _times_faster(each: Round) -> float:
    return each.peer / each.ours


async def _time_ours(servers: str, count: int) -> float:
    with new_topic(servers) as topic, kafka_connection(servers) as connection:
        starts = ends_of(servers, topic)
        jobs = job_ids(count)
        waiting = [
            first_event(
                KafkaJobTrigger(
                    correlation_id=job,
                    kafka_config_id=connection,
                    response_topic=topic,
                    start_offsets=starts,
                    submitted_at=time.time(),
                    heartbeat_timeout=90.0,
                )
            )
            for job in jobs
        ]
        return await time_until_all_fired(servers, topic, jobs, waiting, _settle)


async def _settle() -> None:
    await asyncio.sleep(SETTLE_SECONDS)
