"""Callbacks over HTTP into real Kafka: taken once, by any gateway, or refused in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from integration.gateway.callbacks.conftest import Start
from integration.gateway.callbacks.receivers import (
    end,
    gateway,
    hear,
    progress,
    until_taken,
)
from integration.jobs import first_record
from kafka_bridge.gateway.callbacks import server
from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome
from kafka_bridge.kafka.config import KafkaConfig
from kafka_bridge.protocol.errors import ConfigurationError, ReaderClosed, TopicNotFound
from kafka_bridge.protocol.ids import new_correlation_id

TEN_MB = 10_000_000
YEAR_2000 = datetime(2000, 1, 1, tzinfo=UTC)


async def test_accepted_callback_is_stored(
    start: Start, client: httpx.AsyncClient, config: KafkaConfig, topic: str
) -> None:
    """It is in the topic, unchanged, with the job's id as its key."""
    job, body = new_correlation_id(), b'{ "status":"completed" }'
    answer = await client.post(start().url(job), content=body)
    assert (answer.status_code, answer.json()) == (202, {"detail": "accepted"})
    record = await asyncio.to_thread(first_record, config, topic)
    assert (record.key, record.value) == (job.encode(), body)


@pytest.mark.parametrize("length_is_said", [True, False])
@pytest.mark.parametrize("is_forged", [True, False])
async def test_body_of_ten_megabytes_gets_an_answer(
    start: Start, client: httpx.AsyncClient, *, length_is_said: bool, is_forged: bool
) -> None:
    """The connection is not cut off: the answer is 413, or 401 if the URL is forged as well.

    The gateway takes callbacks after it as before.
    """
    running, job = start(), new_correlation_id()
    whole = b'{"status": "running", "x": "' + b"x" * TEN_MB + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(whole), 65_536):
            yield whole[at : at + 65_536]

    url = running.url(job) + ("x" if is_forged else "")
    answer = await client.post(url, content=whole if length_is_said else chunks())
    assert answer.status_code == (401 if is_forged else 413)
    words = "this is not a callback URL" if is_forged else "the body is longer than 1,000,000 bytes"
    assert words in answer.json()["detail"]
    assert (await client.post(running.url(job), json=progress(1))).status_code == 202
    refused = CallbackOutcome.UNAUTHORIZED if is_forged else CallbackOutcome.OVERSIZED
    assert running.outcomes == {refused: 1, CallbackOutcome.ACCEPTED: 1}


async def test_callback_that_is_cut_off_is_not_stored(
    start: Start, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever part of it has arrived."""
    running, job = start(), new_correlation_id()
    path = running.url(job).partition(str(running.port))[2]
    body = b'{"status": "completed"}'
    head = f"POST {path} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body) + 1}\r\n\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await client.post(running.url(job), json=progress(1))).status_code == 202
    assert running.outcomes == {CallbackOutcome.ACCEPTED: 1}
    assert "Exception in ASGI application" not in caplog.text


async def test_body_above_the_limit_of_the_brokers_is_refused_with_413(
    start: Start, client: httpx.AsyncClient
) -> None:
    """The file's limit is higher. Sending it again would not help."""
    running = start(max_body_bytes=2 * TEN_MB)
    answer = await client.post(
        running.url(new_correlation_id()), json={"status": "running", "x": "x" * TEN_MB}
    )
    assert answer.status_code == 413
    assert answer.json()["detail"].endswith("bytes is too large to be stored")


async def test_gateways_agree_on_the_finished_jobs(start: Start, client: httpx.AsyncClient) -> None:
    """A second gateway knows the final callback of the first, also if it starts later."""
    one, other = start(), start()
    job = new_correlation_id()
    assert (await client.post(one.url(job), json=end(1))).status_code == 202
    async with asyncio.timeout(30):
        while (await client.post(other.url(job), json=progress(9))).status_code != 409:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    later = start()
    for each in (one, other, later):
        assert (await client.post(each.url(job), json=end(1))).status_code == 200
        assert (await client.post(each.url(job), json=end(2))).status_code == 409
    assert later.outcomes == {CallbackOutcome.DUPLICATE: 1, CallbackOutcome.CONFLICT: 1}


async def test_callback_that_is_repeated_survives_a_restart_of_the_gateway(
    config: KafkaConfig, topic: str, client: httpx.AsyncClient
) -> None:
    """A service that tries again while the gateway is down loses nothing.

    The one that starts then hears what was taken before, and what comes after, in order.
    """
    job = new_correlation_id()
    with gateway(config, topic) as before:
        assert (await client.post(before.url(job), json=progress(1))).status_code == 202
    with pytest.raises(httpx.TransportError):
        await client.post(before.url(job), json=progress(2))
    trying = asyncio.create_task(until_taken(client, before.url(job), progress(2)))
    with gateway(config, topic, port=before.port) as after:
        assert await trying == 202
        assert (await client.post(after.url(job), json=end())).status_code == 202
        async with after.channel.listen(job, since=YEAR_2000) as callbacks:
            heard = [await hear(callbacks) for _ in range(3)]
    assert heard == [progress(1), progress(2), end()]


async def test_port_in_use_is_named_in_the_error(
    start: Start, config: KafkaConfig, topic: str
) -> None:
    """With the keys of the file that set another one."""
    taken = start().port
    words = rf"cannot listen for callbacks on .* port {taken}: .* Choose another with host and port"
    with (
        pytest.raises(ConfigurationError, match=words),
        gateway(config, topic, port=taken),
    ):
        pytest.fail("opened a port that was taken")


async def test_missing_topic_is_an_error_at_the_start(config: KafkaConfig) -> None:
    """With the command that creates it."""
    words = r"'no\.callbacks' does not exist.*`kafka-bridge topics create --callbacks no\.call"
    with pytest.raises(TopicNotFound, match=words), gateway(config, "no.callbacks"):
        pytest.fail("started without its topic")


async def test_gateway_that_cannot_follow_the_finished_jobs_stops(
    client: httpx.AsyncClient, config: KafkaConfig, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise it could accept a second final callback of a job."""

    def fail(_: object) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(server, "ends_job", fail)

    async def run() -> None:
        with gateway(config, topic) as running:
            answer = await client.post(running.url(new_correlation_id()), json=end())
            assert answer.status_code == 202
            assert await asyncio.to_thread(running.failed.wait, 30)

    with pytest.raises(ReaderClosed, match="a bug"):
        await run()
