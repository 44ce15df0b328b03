"""Find out what a broker's listener expects, with a connection of our own.

librdkafka reports most faults of TLS as "certificate verify failed", and a listener that closes
the connection (plaintext against TLS, TLS without SASL) like a broker that is down. When a client
has no connection, this module opens one of its own to a bootstrap server, looks, and closes it. No
credentials are sent.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kafka_bridge.kafka.sockets import (
    CONNECT_SECONDS,
    addresses,
    connected,
    received,
    tls_context,
)
from kafka_bridge.protocol.sanitize import NAME_BYTES, one_line

MOST_SERVERS = 3
"""How many bootstrap servers are tried, until one takes a connection."""
MOST_BYTES = 10_000
"""The longest answer that is read; a broker's list of mechanisms has about a hundred bytes."""

_SASL_HANDSHAKE = 17
_NO_SASL_HERE = 34  # ILLEGAL_SASL_STATE: the listener has no SASL


@dataclass(frozen=True, slots=True)
class Listener:
    """What was found at ``address``.

    ``certificate_error``: why the client does not accept the broker's certificate, in OpenSSL's
    words. ``mechanisms``: the SASL mechanisms on offer, empty without SASL; None where it was not
    found out.
    """

    address: str
    tls: bool
    certificate_error: str | None = None
    mechanisms: tuple[str, ...] | None = None


def look_at_listener(settings: Mapping[str, Any]) -> Listener | None:
    """Return what the first bootstrap server that takes a connection expects of clients.

    None where none takes one, or what answers is not a Kafka broker.

    :param settings: librdkafka's properties
    """
    for host, port in list(addresses(str(settings["bootstrap.servers"])))[:MOST_SERVERS]:
        try:
            with socket.create_connection((host, port), CONNECT_SECONDS):
                pass
        except OSError:
            continue
        return _look(host, port, settings)
    return None


def _look(host: str, port: int, settings: Mapping[str, Any]) -> Listener | None:
    address = f"{host}:{port}"
    anything = tls_context(check=False)
    try:
        with connected(host, port, anything) as connection:
            mechanisms = _sasl_mechanisms(connection)
    except OSError:
        plain = _plain_mechanisms(host, port)
        return None if plain is None else Listener(address, tls=False, mechanisms=plain)
    problem = _certificate_error(host, port, settings)
    return Listener(address, tls=True, certificate_error=problem, mechanisms=mechanisms)


def _plain_mechanisms(host: str, port: int) -> tuple[str, ...] | None:
    try:
        with connected(host, port, None) as connection:
            return _sasl_mechanisms(connection)
    except OSError:
        return None


def _certificate_error(host: str, port: int, settings: Mapping[str, Any]) -> str | None:
    try:
        trusting = tls_context(check=True)
        _load_authorities(trusting, settings)
        algorithm = settings.get("ssl.endpoint.identification.algorithm", "https")
        trusting.check_hostname = str(algorithm).lower() == "https"
        with connected(host, port, trusting):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except OSError:
        return None


def _load_authorities(context: ssl.SSLContext, settings: Mapping[str, Any]) -> None:
    if pem := settings.get("ssl.ca.pem"):
        context.load_verify_locations(cadata=str(pem))
    elif place := settings.get("ssl.ca.location"):
        context.load_verify_locations(cafile=str(place))
    else:
        context.load_default_certs()


def _sasl_mechanisms(connection: socket.socket) -> tuple[str, ...] | None:
    """Ask for a mechanism that no broker has; the answer lists those that it has.

    See SaslHandshake (v1) in https://kafka.apache.org/protocol.
    """
    client, mechanism = b"kafka-bridge", b"NONE"
    body = struct.pack(">hhih", _SASL_HANDSHAKE, 1, 1, len(client)) + client
    body += struct.pack(">h", len(mechanism)) + mechanism
    try:
        connection.sendall(struct.pack(">i", len(body)) + body)
        (size,) = struct.unpack(">i", received(connection, 4))
        if not 10 <= size <= MOST_BYTES:
            return None
        return _mechanisms_in(received(connection, size))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def _mechanisms_in(answer: bytes) -> tuple[str, ...] | None:
    _, error, count = struct.unpack_from(">ihi", answer)
    if error == _NO_SASL_HERE:
        return ()
    at, found = 10, []
    for _ in range(count):
        (length,) = struct.unpack_from(">h", answer, at)
        name = answer[at + 2 : at + 2 + length].decode()  # no UTF-8: not a Kafka broker
        found.append(one_line(name, NAME_BYTES))
        at += 2 + length
    return tuple(found)


def own_certificate_error(settings: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the client's own certificate: "certificate has expired", say.

    None where nothing is, or it cannot be read here. The certificate is shown, in memory, to a peer
    that trusts it; the words are OpenSSL's.
    """
    certificate, key = settings.get("ssl.certificate.location"), settings.get("ssl.key.location")
    if not certificate or not key:
        return None
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tls_context(check=True)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        server.load_cert_chain(certificate, key, lambda: str(settings.get("ssl.key.password", "")))
        client.load_verify_locations(cafile=certificate)
        _shake_hands_in_memory(client, server)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except OSError:
        return None
    return None


def _shake_hands_in_memory(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    for _ in range(4):  # flights of a handshake, one more than TLS 1.2 needs
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
