"""Jobs hear their callbacks, on real Kafka: all of them, in order, whatever goes on meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from integration.gateway.callbacks.conftest import Start
from integration.gateway.callbacks.receivers import (
    Gateway,
    end,
    gateway,
    hear,
    hears_nothing,
    progress,
    until_taken,
)
from integration.jobs import config_of
from kafka_bridge.gateway.callbacks import inbox, publisher
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.gateway.http.answer_config import Answer
from kafka_bridge.gateway.http.job_status import read_answer
from kafka_bridge.gateway.http.status_reports import ReportOrder
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.kafka.lookups.scan import offsets_since
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses import topic_consumer, topic_watch
from kafka_bridge.protocol.errors import TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id
from kafka_bridge.protocol.messages import utc_now
from kafka_bridge.testing import ApacheKafka, Broker

SEED = 20261125
SERVICES = 16
"""How many call back at a time."""


async def test_callback_before_the_answer_to_the_submit_is_received(
    start: Start, client: httpx.AsyncClient
) -> None:
    """A callback is kept from the moment that the job listens, and read later."""
    running, jobs = start(), [new_correlation_id() for _ in range(3)]
    for job in jobs:  # the first finds a reader that has yet to begin, the others one at work
        async with running.channel.listen(job) as callbacks:
            assert (await client.post(running.url(job), json=progress(1))).status_code == 202
            assert (await client.post(running.url(job), json=end(job))).status_code == 202
            assert [await hear(callbacks), await hear(callbacks)] == [progress(1), end(job)]


async def test_job_receives_only_its_own_callbacks(start: Start, client: httpx.AsyncClient) -> None:
    """Those from before it began only if it asks for them."""
    running, job, other = start(), new_correlation_id(), new_correlation_id()
    async with running.channel.listen(job) as first:
        for each, body in ((other, end("other")), (job, progress(1)), (job, progress(2))):
            assert (await client.post(running.url(each), json=body)).status_code == 202
        assert [await hear(first), await hear(first)] == [progress(1), progress(2)]
        assert await hears_nothing(first)
    async with running.channel.listen(job) as second:
        assert await hears_nothing(second)
    async with running.channel.listen(job, since=utc_now() - timedelta(minutes=1)) as third:
        assert [await hear(third), await hear(third)] == [progress(1), progress(2)]


async def test_second_listener_of_a_job_receives_its_callbacks(
    start: Start, client: httpx.AsyncClient
) -> None:
    """Although the first one is still there."""
    running, job = start(), new_correlation_id()
    async with running.channel.listen(job), running.channel.listen(job) as anew:
        assert (await client.post(running.url(job), json=end())).status_code == 202
        assert await hear(anew) == end()


async def test_record_that_is_not_a_callback_is_ignored(
    start: Start, config: KafkaConfig, topic: str, client: httpx.AsyncClient
) -> None:
    """Records of another program in the topic disturb no job."""
    running, job = start(), new_correlation_id()
    with RecordProducer(config) as producer:
        async with running.channel.listen(job) as callbacks:
            for value in (b"", None, b"[1]", b"\xff", b"[" * 100_000):
                await asyncio.to_thread(producer.publish, topic, job.encode(), value, [])
            assert (await client.post(running.url(job), json=end())).status_code == 202
            assert await hear(callbacks) == end()


@pytest.mark.long
async def test_gateway_takes_over_hundreds_of_jobs_with_all_their_callbacks(
    start: Start, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jobs of a gateway that died are taken over at once; each receives all its callbacks.

    The brokers are asked a few times where to begin, not once for each.
    """
    asked: list[datetime] = []

    def asking(config: KafkaConfig, topic: str, moment: datetime, *, timeout: float) -> list[int]:
        asked.append(moment)
        return offsets_since(config, topic, moment, timeout=timeout)

    monkeypatch.setattr(inbox, "offsets_since", asking)
    running, jobs = start(), [new_correlation_id() for _ in range(300)]
    began = datetime.now(UTC)
    for job in jobs[:100]:
        assert (await client.post(running.url(job), json=progress(1))).status_code == 202

    async def go_on(number: int, job: str) -> list[dict[str, Any]]:
        since = began + timedelta(milliseconds=number)
        async with running.channel.listen(job, since=since) as callbacks:
            said = [await hear(callbacks)]
            return said if said == [end()] else [*said, await hear(callbacks)]

    waiting = [asyncio.create_task(go_on(*each)) for each in enumerate(jobs)]
    for job in jobs:
        assert (await client.post(running.url(job), json=end())).status_code == 202
    heard = await asyncio.gather(*waiting)
    assert heard == [[progress(1), end()]] * 100 + [[end()]] * 200
    assert len(asked) <= 5


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.long)])
async def test_shuffled_and_repeated_callbacks_end_each_job_once(
    start: Start, client: httpx.AsyncClient, count: int
) -> None:
    """Callbacks of many jobs, shuffled, some sent twice, through two gateways.

    Each job hears one end, and before it nothing twice that is no news: progress only rises. Every
    callback is answered as taken, as taken before, or as too late.
    """
    chance = random.Random(SEED)
    gateways, jobs = [start(), start()], [new_correlation_id() for _ in range(count)]
    bodies = [progress(1), progress(2), end()]
    calls = [(job, body) for job in jobs for body in bodies]
    calls += chance.sample(calls, count // 3)
    chance.shuffle(calls)
    waiting = [asyncio.create_task(_until_end(gateways[0], job)) for job in jobs]
    await asyncio.sleep(0)  # each listens from here on

    statuses: Counter[int] = Counter()

    async def service(mine: list[tuple[str, dict[str, Any]]]) -> None:
        for job, body in mine:
            url = chance.choice(gateways).url(job)
            statuses[(await client.post(url, json=body)).status_code] += 1

    await asyncio.gather(*(service(calls[at::SERVICES]) for at in range(SERVICES)))
    for heard in await asyncio.gather(*waiting):
        completed = [each["progress"]["completed"] for each in heard[:-1]]
        assert completed in ([], [1], [2], [1, 2])
        assert heard[-1] == end()
    assert set(statuses) <= {200, 202, 409}
    assert statuses.total() == len(calls)
    taken = sum((each.outcomes for each in gateways), Counter[CallbackOutcome]())
    assert taken[CallbackOutcome.ACCEPTED] == statuses[202] >= len(jobs)


async def _until_end(running: Gateway, job: str) -> list[dict[str, Any]]:
    """Return what is news of a job, up to its end, as a handler tells it."""
    order, heard = ReportOrder(), []
    async with running.channel.listen(job) as callbacks:
        while True:
            body = await hear(callbacks)
            if not order.is_old(read_answer(Answer(), body)):
                heard.append(body)
            if body == end():
                return heard


async def test_deleted_topic_is_an_error_in_every_job(
    start: Start, real_broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job goes on waiting for callbacks that cannot come."""
    monkeypatch.setattr(topic_watch, "MISSING_SECONDS", 1.0)
    running, jobs = start(), [new_correlation_id() for _ in range(3)]

    async def wait(job: str) -> None:
        async with running.channel.listen(job) as callbacks:
            await callbacks.next()

    waiting = [asyncio.create_task(wait(job)) for job in jobs]
    async with running.channel.listen(new_correlation_id()) as callbacks:
        assert await hears_nothing(callbacks)
    await asyncio.to_thread(real_broker.delete_topics, [topic])
    async with asyncio.timeout(30):
        for each in waiting:
            with pytest.raises(TopicNotFound, match=rf"'{topic}' does not exist"):
                await each


async def test_callbacks_are_refused_for_a_while_without_a_broker_and_no_job_fails(
    private_broker: ApacheKafka, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no broker answers, callbacks get 503, and jobs go on waiting.

    Neither a job that listened before nor one that begins meanwhile: once the broker is back, and
    the service has tried again, both hear all.
    """
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 1.0)
    monkeypatch.setattr(topic_consumer, "METADATA_SECONDS", 1.0)
    monkeypatch.setattr(inbox, "ANSWER_SECONDS", 2.0)
    await asyncio.to_thread(private_broker.create_topic, "callbacks", 2)
    old, young, back = (new_correlation_id() for _ in range(3))
    began = utc_now()
    config = config_of(private_broker.bootstrap_servers, reconnect_backoff_max_ms=500)
    with gateway(config, "callbacks") as running:
        await asyncio.to_thread(private_broker.kill)
        listen = running.channel.listen
        async with listen(old) as first, listen(young) as second:
            third = asyncio.create_task(_first_since(running, back, began))
            answer = await client.post(running.url(old), json=end("old"))
            assert answer.status_code == 503
            assert answer.headers["Retry-After"] == "5"
            assert await hears_nothing(first, 1.5)  # longer than the reader looks for a broker
            calls = [
                asyncio.create_task(until_taken(client, running.url(job), end(job)))
                for job in (old, young, back)
            ]
            await asyncio.to_thread(private_broker.start)
            assert set(await asyncio.gather(*calls)) <= {200, 202}
            assert await hear(first) in (end(old), end("old"))
            assert await hear(second) == end(young)
            assert await third == end(back)


async def _first_since(running: Gateway, job: str, since: datetime) -> dict[str, Any]:
    async with running.channel.listen(job, since=since) as callbacks:
        return await hear(callbacks)
