"""Many jobs wait on one reader of a real Kafka while things break: each receives its end once."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, TopicPartition

from kafka_bridge.kafka.config import GROUP_PREFIX, KafkaConfig
from kafka_bridge.kafka.offsets import end_offsets
from kafka_bridge.kafka.producer import RecordProducer
from kafka_bridge.kafka.responses import dispatcher, topic_watch
from kafka_bridge.kafka.responses.subscriptions import Delivery, bounded
from kafka_bridge.protocol.codec import encode
from kafka_bridge.protocol.errors import KafkaBridgeError, TopicNotFound
from kafka_bridge.protocol.messages import JobState
from kafka_bridge.testing import ApacheKafka, Broker

from ..jobs import config_of, event
from .blocked_loop import callbacks_over
from .waiting_jobs import answer, new_jobs, waiting_on

if TYPE_CHECKING:
    from conftest import TopicFactory

SEED = 20261123


@pytest.fixture
def config(real_broker: Broker) -> KafkaConfig:
    """Give the configuration of the session's broker."""
    return config_of(real_broker.bootstrap_servers)


@pytest.fixture
def topic(topics: TopicFactory) -> str:
    """Give a response topic."""
    return topics("responses", partitions=3)


async def test_jobs_that_wait_early_or_late_each_receive_their_end_once(
    config: KafkaConfig, topic: str
) -> None:
    """Before, while and after their replies arrive."""
    jobs, chance = new_jobs(3000), random.Random(SEED)
    starts = await asyncio.to_thread(lambda: end_offsets(config, [topic], 10)[topic])
    async with waiting_on(config, topic) as waiting:
        with RecordProducer(config) as producer:
            waiting.join(jobs[:1000], starts)
            await waiting.until_served(1000)
            replies = chance.sample(jobs, len(jobs))
            sending = asyncio.create_task(asyncio.to_thread(answer, producer, topic, replies))
            waiting.join(jobs[1000:2000], starts)
            await sending
            waiting.join(jobs[2000:], starts)
            await waiting.all_ended()
    assert set(waiting.ends) == set(jobs)
    assert set(waiting.ends.values()) == {1}


@pytest.mark.parametrize("dead_seconds", [10, pytest.param(30, marks=pytest.mark.long)])
async def test_killed_broker_costs_no_job(private_broker: ApacheKafka, dead_seconds: float) -> None:
    """A broker that is killed with -9 and comes back after a while costs no job.

    Replies are published before, during and after. The reader is not live meanwhile, so that no
    timeout expires, and no job is notified of an error.
    """
    config = config_of(private_broker.bootstrap_servers)
    await asyncio.to_thread(private_broker.create_topic, "responses", 3)
    jobs = new_jobs(1500)
    async with waiting_on(config, "responses") as waiting:
        with RecordProducer(config, delivery_timeout=120) as producer:
            waiting.join(jobs, [0, 0, 0])
            await waiting.until_served(len(jobs))
            await asyncio.to_thread(answer, producer, "responses", jobs[:500])
            await waiting.until_live()
            private_broker.kill()
            killed_at = time.monotonic()
            sending = asyncio.create_task(
                asyncio.to_thread(answer, producer, "responses", jobs[500:1000])
            )
            await waiting.until_live(False)
            await asyncio.sleep(killed_at + dead_seconds - time.monotonic())
            assert not any(task.done() for task in waiting.tasks[500:])
            await asyncio.to_thread(private_broker.start)
            await sending
            await asyncio.to_thread(answer, producer, "responses", jobs[1000:])
            await waiting.all_ended()
            await waiting.until_live()
    assert waiting.ends == dict.fromkeys(jobs, 1)


async def test_reader_is_not_live_while_its_broker_hangs(private_broker: ApacheKafka) -> None:
    """A SIGSTOP is noticed within seconds, and so is the end of it."""
    config = config_of(private_broker.bootstrap_servers)
    await asyncio.to_thread(private_broker.create_topic, "responses", 1)
    async with waiting_on(config, "responses") as waiting:
        waiting.join(new_jobs(1), [0])
        await waiting.until_live()
        private_broker.pause()
        try:
            await waiting.until_live(False)
        finally:
            private_broker.resume()
        await waiting.until_live()


async def test_replies_in_added_partitions_are_found(
    config: KafkaConfig, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replies in partitions that were added while a job waits are found, from their beginning."""
    monkeypatch.setattr(topic_watch, "PARTITIONS_SECONDS", 0.3)
    jobs = new_jobs(40)
    async with waiting_on(config, topic) as waiting:
        waiting.join(jobs, [0, 0, 0])
        await waiting.until_served(len(jobs))
        admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})
        for added in admin.create_partitions([NewPartitions(topic, 8)]).values():
            added.result()
        with RecordProducer(config) as producer:
            await asyncio.to_thread(answer, producer, topic, jobs)
            ends = await asyncio.to_thread(lambda: end_offsets(config, [topic], 10)[topic])
            assert sum(ends[3:]) > 0, "no reply lies in a new partition: the test shows nothing"
            await waiting.all_ended()
    assert waiting.ends == dict.fromkeys(jobs, 1)


async def test_job_is_notified_of_records_removed_by_retention(
    config: KafkaConfig, topic: str
) -> None:
    """And it still receives later records."""
    (job,) = new_jobs(1)
    with RecordProducer(config) as producer:
        await asyncio.to_thread(answer, producer, topic, new_jobs(60))
        ends = await asyncio.to_thread(lambda: end_offsets(config, [topic], 10)[topic])
        admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})
        places = [TopicPartition(topic, number, end) for number, end in enumerate(ends)]
        for deleted in admin.delete_records(places).values():
            deleted.result()
        async with waiting_on(config, topic) as waiting:
            waiting.join([job], [0, 0, 0])
            await waiting.until_served(1)
            await asyncio.to_thread(answer, producer, topic, [job])
            await waiting.all_ended()
    lost = {(each.partition, each.wanted, each.first) for each in waiting.truncated}
    assert lost == {(number, 0, end) for number, end in enumerate(ends) if end}
    assert waiting.ends == {job: 1}


@pytest.mark.timeout(120)
async def test_junk_between_good_records_stops_no_job_and_fills_no_log(
    config: KafkaConfig, topic: str, caplog: pytest.LogCaptureFixture
) -> None:
    """100,000 records of junk, some under the jobs' own keys, stop nobody and fill no log."""
    jobs, chance = new_jobs(500), random.Random(SEED)
    good = encode(event(jobs[0]))

    def junk() -> tuple[bytes | None, bytes | None]:
        key = chance.choice(
            [None, b"", b"\xff\xfe", chance.choice(jobs).encode(), jobs[0].encode()]
        )
        value = chance.choice([None, b"", b"{", b"\xc3\x01", chance.randbytes(30), b"[" * 50])
        if chance.random() < 0.2:
            value = good[: chance.randrange(60)] + chance.randbytes(5)
        return key, value

    def publish() -> None:
        with RecordProducer(config) as producer:
            for number in range(100_000):
                if number % 200 == 0:
                    job = jobs[number // 200]
                    producer.send(topic, job.encode(), encode(event(job)), [])
                producer.send(topic, *junk(), [])

    with caplog.at_level(logging.WARNING, logger="kafka_bridge"):
        async with waiting_on(config, topic) as waiting:
            waiting.join(jobs, [0, 0, 0])
            await asyncio.to_thread(publish)
            await waiting.all_ended()
    assert waiting.ends == dict.fromkeys(jobs, 1)
    assert waiting.unreadable > 0
    assert len([each for each in caplog.records if each.message.startswith("Skipped ")]) == 2


async def test_reader_is_not_live_behind_an_open_transaction(
    config: KafkaConfig, topic: str
) -> None:
    """The transaction hides every later record, so a missing event proves nothing."""
    settings = {"bootstrap.servers": config.bootstrap_servers, "transactional.id": topic}
    stranger = Producer(settings)
    await asyncio.to_thread(stranger.init_transactions)
    jobs = new_jobs(30)
    with RecordProducer(config) as producer:
        async with waiting_on(config, topic) as waiting:
            waiting.join(jobs, [0, 0, 0])
            await waiting.until_live()
            stranger.begin_transaction()
            for number in range(30):
                stranger.produce(topic, b"", key=str(number))
            await asyncio.to_thread(stranger.flush)
            await asyncio.to_thread(answer, producer, topic, jobs)
            await waiting.until_live(False)
            assert waiting.hub.reader.served > 0
            await asyncio.to_thread(stranger.commit_transaction)
            await waiting.all_ended()
            await waiting.until_live()
    assert waiting.ends == dict.fromkeys(jobs, 1)


async def test_nothing_blocks_the_loop(config: KafkaConfig, topic: str) -> None:
    """With 2,000 jobs that come, wait and finish, no callback blocks the loop for 100 ms.

    What blocks does so each time. A thread of this process that another process keeps from the
    processor while it has the interpreter's lock does so now and then.
    """
    slow = [await slow_callbacks(config, topic)]
    while slow[-1] and len(slow) < 8:
        slow.append(await slow_callbacks(config, topic))
    assert not slow[-1], slow


async def slow_callbacks(config: KafkaConfig, topic: str) -> list[str]:
    """Let 2,000 jobs come, wait and finish; return which callbacks took over 100 ms."""
    jobs = new_jobs(2000)
    records = [(job.encode(), encode(event(job))) for job in jobs]
    all_wait = threading.Event()

    def publish() -> None:
        with RecordProducer(config) as producer:
            all_wait.wait(30)
            for key, value in records:
                producer.send(topic, key, value, [])

    publishing = asyncio.create_task(asyncio.to_thread(publish))  # to start a thread takes a while
    async with waiting_on(config, topic) as waiting:
        gc.collect()
        gc.freeze()  # garbage of earlier tests does not count
        with callbacks_over(0.1) as slow:
            for first in range(0, len(jobs), 50):
                waiting.join(jobs[first : first + 50], [0, 0, 0])
                await asyncio.sleep(0)
            all_wait.set()
            async with asyncio.timeout(60):  # to gather 2,000 tasks would be slow in itself
                while len(waiting.ends) < len(jobs):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        await publishing
        gc.unfreeze()
    assert waiting.ends == dict.fromkeys(jobs, 1)
    return slow


CONNECTIONS_OF_ONE = 3
"""librdkafka's: to the address it was given, to each broker (here the same), to a coordinator."""


def connections_to(broker: ApacheKafka) -> int:
    """Return how many connections from clients the broker's process has."""
    (port,) = {int(each.rpartition(":")[2]) for each in broker.bootstrap_servers.split(",")}
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in psutil.Process(broker.pid).net_connections("tcp")
    )


async def until_connections_are_of_one(broker: ApacheKafka) -> None:
    """Wait until there are some connections, and no more than one consumer makes.

    At any single moment there may be none, while librdkafka connects again, or one too many, of the
    client that made the topic. A consumer for each job would never have so few.
    """
    async with asyncio.timeout(60):
        while not 0 < connections_to(broker) <= CONNECTIONS_OF_ONE:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_all_jobs_of_a_process_share_one_consumer(private_broker: ApacheKafka) -> None:
    """However many jobs wait, the process has one consumer, in a group of its own kind.

    Counted on the broker: 2,000 jobs have no more connections than one consumer makes, and there is
    no group but of our kind.
    """
    config = config_of(private_broker.bootstrap_servers, group_id="theirs")
    await asyncio.to_thread(private_broker.create_topic, "responses", 3)
    async with waiting_on(config, "responses") as waiting:
        waiting.join(new_jobs(2000), [0, 0, 0])
        await waiting.until_served(2000)
        await waiting.until_live()
        await until_connections_are_of_one(private_broker)
        threads = {
            t.name for t in threading.enumerate() if t.name.startswith("kafka-bridge-reader")
        }
    assert threads == {"kafka-bridge-reader-responses"}
    admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})
    groups = [each.group_id for each in admin.list_consumer_groups().result().valid]
    assert [each for each in groups if not each.startswith(GROUP_PREFIX)] == []


async def test_deleted_topic_ends_every_wait_with_an_error(
    config: KafkaConfig, topics: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that is deleted ends every wait within seconds, in words."""
    monkeypatch.setattr(topic_watch, "MISSING_SECONDS", 1.0)
    name = topics("gone", partitions=1)
    async with waiting_on(config, name) as waiting:
        waiting.join(new_jobs(20), [0])
        await waiting.until_served(20)
        admin = AdminClient({"bootstrap.servers": config.bootstrap_servers})
        for gone in admin.delete_topics([name]).values():
            gone.result()
        begin = time.monotonic()
        ended = await asyncio.gather(*waiting.tasks, return_exceptions=True)
    assert time.monotonic() - begin < 20
    assert {type(each) for each in ended} == {TopicNotFound}
    assert all(isinstance(each, KafkaBridgeError) and name in str(each) for each in ended)


def flood(servers: str, topic: str, job: str, events: int) -> None:
    """Publish so many events of a running job as fast as can be, then its end."""
    producer = Producer(
        {"bootstrap.servers": servers, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000}
    )
    running = encode(event(job, JobState.RUNNING, message="x" * 500))
    for _ in range(events):
        producer.produce(topic, running, key=job, partition=0)
    producer.produce(topic, encode(event(job)), key=job, partition=0)
    assert producer.flush(30) == 0


async def test_flood_of_events_of_one_job_is_coalesced(
    config: KafkaConfig, topics: TopicFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100,000 events, some from each batch reach the loop, and the end; others hear theirs.

    Before, all of them lay in memory until the loop had passed each on.
    """
    name, (loud, quiet) = topics("flooded", partitions=1), new_jobs(2)
    passed_on = 0

    def count(delivery: Delivery) -> Delivery:
        nonlocal passed_on
        kept = bounded(delivery)
        passed_on += len(kept)
        return kept

    monkeypatch.setattr(dispatcher, "bounded", count)
    async with waiting_on(config, name) as waiting:
        await asyncio.to_thread(flood, config.bootstrap_servers, name, loud, 100_000)
        waiting.join([loud, quiet], [0])
        with RecordProducer(config) as producer:
            await asyncio.to_thread(answer, producer, name, [quiet])
        await waiting.all_ended()
    assert waiting.ends == {loud: 1, quiet: 1}
    assert passed_on < 20_000
