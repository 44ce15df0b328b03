"""What keeps a client out, in words: from librdkafka's error, or from a look at the listener."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka as ck
import pytest

from kafka_bridge.kafka import refusals
from kafka_bridge.kafka.clients import ConnectionWatch
from kafka_bridge.kafka.handshake import Listener, look_at_listener, own_certificate_error
from kafka_bridge.kafka.refusals import explain, is_refusal

E = ck.KafkaError
SERVERS = {"bootstrap.servers": "b:1"}
SCRAM = {**SERVERS, "security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512"}


def alert(number: int) -> ck.KafkaError:
    """Return the error that librdkafka has for an alert of the broker's TLS."""
    text = f"ssl://b:1/bootstrap: Receive failed: ssl/tls alert bad: SSL alert number {number}"
    return E(E._TRANSPORT, text)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (E(E._AUTHENTICATION, "no"), True),
        (E(E._SSL, "no"), True),
        (alert(42), True),
        (alert(45), True),
        (alert(116), True),
        (alert(80), False),  # internal error: of the broker's own
        (E(E._TRANSPORT, "Disconnected"), False),
        (E(E._ALL_BROKERS_DOWN, "1/1 brokers are down"), False),
    ],
)
def test_only_refused_connections_count_as_refusals(error: ck.KafkaError, refusal: bool) -> None:
    """A broker that restarts is not taken for one that refuses."""
    assert is_refusal(error) is refusal


@pytest.mark.parametrize(
    "words",
    [
        "SASL authentication error: Authentication failed: Invalid username or password",
        "SASL authentication error: Authentication failed during authentication due to invalid "
        "credentials with SASL mechanism SCRAM-SHA-512",
    ],
)
def test_bad_login_names_the_user_and_hides_nothing_else(words: str) -> None:
    """PLAIN and SCRAM have different words for it; the user's name is cleaned."""
    settings = SCRAM | {"sasl.username": "al\x1bice", "sasl.password": "secret"}
    found = explain(settings, E(E._AUTHENTICATION, words)) or ""
    assert "unknown user 'al" in found
    assert "\x1b" not in found
    assert "secret" not in found


def test_other_authentication_errors_are_quoted() -> None:
    """OAUTHBEARER and GSSAPI fail in words of their own, without librdkafka's frame."""
    text = "sasl_ssl://b:1/bootstrap: Failed to acquire token (after 3ms in state AUTH_REQ)"
    found = explain(SCRAM | {"sasl.mechanism": "OAUTHBEARER"}, E(E._AUTHENTICATION, text))
    assert found == (
        "authentication with OAUTHBEARER failed: Failed to acquire token. "
        "Check the 'sasl.*' properties."
    )


@pytest.mark.parametrize(
    ("settings", "listener", "words"),
    [
        ({}, Listener("b:1", tls=True), "Set 'security.protocol' to SSL and 'ssl.ca.location'"),
        (SCRAM, Listener("b:1", tls=True, mechanisms=("SCRAM-SHA-512",)), None),
        (SCRAM, Listener("b:1", tls=True, mechanisms=("PLAIN",)), "does not offer SCRAM-SHA-512"),
        (SCRAM, Listener("b:1", tls=True, mechanisms=()), "Set 'security.protocol' to SSL."),
        (SCRAM, Listener("b:1", tls=True, certificate_error="unable to get"), "unknown CA"),
        (
            SCRAM | {"enable.ssl.certificate.verification": "false"},
            Listener("b:1", tls=True, certificate_error="unable to get"),
            None,
        ),
        ({}, Listener("b:1", tls=False), None),
        ({}, None, None),
    ],
)
def test_listener_shows_tls_and_mechanisms(
    monkeypatch: pytest.MonkeyPatch, settings: Any, listener: Listener | None, words: str | None
) -> None:
    """What a client says and what the listener expects are compared; if both fit, nothing is."""
    monkeypatch.setattr(refusals, "look_at_listener", lambda _: listener)
    found = explain(SERVERS | settings, None)
    assert (found is None) if words is None else (words in (found or ""))


@pytest.fixture
def stranger() -> Iterator[tuple[str, list[bytes]]]:
    """Give the address of something that answers each connection with odd bytes."""
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1000)
                    connection.sendall(answers[0] if answers else b"")

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}", answers
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        struct.pack(">i", -1),
        struct.pack(">i", 2_000_000_000) + b"x",
        struct.pack(">iihi", 10, 1, 33, 5) + b"",
        struct.pack(">iihih", 12, 1, 33, 1, 30_000),
        struct.pack(">iihih", 14, 1, 33, 1, 2) + b"\xff\xfe",
    ],
)
def test_answer_that_is_not_kafka_is_ignored(
    stranger: tuple[str, list[bytes]], answer: bytes
) -> None:
    """A web server, lengths that lie, bytes that are no text: it is no Kafka, and that is all."""
    address, answers = stranger
    answers.append(answer)
    found = look_at_listener({"bootstrap.servers": address})
    assert found is None or found.mechanisms in (None, ("",))


def test_unreachable_server_has_no_listener() -> None:
    """Addresses that do not answer or make no sense are passed over."""
    assert look_at_listener({"bootstrap.servers": "127.0.0.1:1,nonsense:port,[::1]:1"}) is None


def test_certificate_that_is_not_there_is_no_verdict() -> None:
    """What cannot be read is left to librdkafka to report."""
    settings = {"ssl.certificate.location": "/none.pem", "ssl.key.location": "/none.key"}
    assert own_certificate_error(settings) is None


def test_old_refusal_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that restarted an hour ago is not why a record fails now."""
    monkeypatch.setattr(refusals, "look_at_listener", lambda _: None)
    watch = ConnectionWatch(SCRAM, None)
    watch.note(E(E._AUTHENTICATION, "invalid credentials"))
    assert watch.is_refused
    assert "wrong password" in str(watch.why_silent("sending"))
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3600)
    assert not watch.is_refused
    assert watch.why_silent("sending") is None


def test_refusal_is_forgotten_once_a_broker_answers() -> None:
    """One broker of a cluster may refuse while the others serve."""
    noted: list[ck.KafkaError] = []
    watch = ConnectionWatch(SCRAM, noted.append)
    watch.note(E(E._SSL, "no"))
    watch.forget()
    assert not watch.is_refused
    assert len(noted) == 1


def test_reason_is_looked_for_until_there_is_one_and_then_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refusal may come after the first look; of thousands of records one look is enough."""
    looks: list[object] = []
    monkeypatch.setattr(refusals, "look_at_listener", looks.append)
    watch = ConnectionWatch(SCRAM, None)
    assert watch.why_silent("sending") is None
    watch.note(E(E._SSL, "certificate verify failed"))
    for _ in range(100):
        assert "certificate verify failed" in str(watch.why_silent("sending"))
    assert len(looks) == 2
