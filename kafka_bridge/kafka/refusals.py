"""Explain why Kafka refuses a client, and which property to set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import confluent_kafka as ck

from kafka_bridge.kafka.handshake import Listener, look_at_listener, own_certificate_error
from kafka_bridge.protocol.sanitize import one_line

_AUTHENTICATION = ck.KafkaError._AUTHENTICATION  # noqa: SLF001  librdkafka's local codes begin so
_SSL = ck.KafkaError._SSL  # noqa: SLF001

_MECHANISMS = re.compile(r"broker's supported mechanisms: (\S+)")
_ALERT = re.compile(r"alert .*SSL alert number (\d+)")
_CERTIFICATE_ALERTS = frozenset({42, 43, 44, 45, 46, 48, 116})
"""TLS alerts about the client's certificate (RFC 8446, section 6.2): bad, unsupported, revoked,
expired, unknown, unknown CA, required."""
_BAD_LOGIN = re.compile("invalid (credentials|username or password)", re.IGNORECASE)
"""What Kafka's own SCRAM and PLAIN servers answer."""
_NO_SASL = "not valid in current SASL state"
"""What a listener without SASL answers to a client with it."""
_NOISE = re.compile(r" \(after \d+ms in state \w+.*\)$|^\w+://\S+: ")


def is_refusal(error: ck.KafkaError) -> bool:
    """Return whether an error of a connection says that the broker, or the client, refused it."""
    return error.code() in {_AUTHENTICATION, _SSL} or _is_about_certificate(error.str())


def explain(settings: Mapping[str, Any], error: ck.KafkaError | None) -> str | None:
    """Return why a client is refused and what to set; None where that is unknown.

    :param settings: the client's properties
    :param error: the last error for which :func:`is_refusal` holds, where there was one
    """
    text = "" if error is None else error.str()
    if _is_about_certificate(text):
        return _own_certificate(settings)
    if error is not None and error.code() == _AUTHENTICATION and _NO_SASL not in text:
        return _authentication(settings, text)
    listener = look_at_listener(settings)
    found = None if listener is None else _mismatch(settings, listener)
    if found is None and error is not None:
        return f"{_plain(text)}. Check 'security.protocol' and the 'ssl.*' and 'sasl.*' properties."
    return found


def _is_about_certificate(text: str) -> bool:
    alert = _ALERT.search(text)
    return alert is not None and int(alert[1]) in _CERTIFICATE_ALERTS


def _authentication(settings: Mapping[str, Any], text: str) -> str:
    mechanism = _mechanism(settings)
    if offered := _MECHANISMS.search(text):
        return _wrong_mechanism(mechanism, offered[1].split(","))
    if _BAD_LOGIN.search(text):
        user = one_line(str(settings.get("sasl.username", "")), 250)
        return (
            f"wrong password, or unknown user {user!r} (brokers do not report which), with "
            f"{mechanism}. Check 'sasl.username' and 'sasl.password', and that the user exists "
            f"for {mechanism}."
        )
    return f"authentication with {mechanism} failed: {_plain(text)}. Check the 'sasl.*' properties."


def _wrong_mechanism(mechanism: str, offered: list[str]) -> str:
    names = ", ".join(sorted(one_line(each, 100) for each in offered))
    return (
        f"wrong mechanism: the broker does not offer {mechanism}, but {names}. "
        "Set 'sasl.mechanism' to one of these."
    )


def _own_certificate(settings: Mapping[str, Any]) -> str:
    place = settings.get("ssl.certificate.location") or settings.get("ssl.keystore.location")
    if not place and not settings.get("ssl.certificate.pem"):
        return (
            "no client certificate: the broker asks for one. Set 'ssl.certificate.location' and "
            "'ssl.key.location' (or 'ssl.keystore.location')."
        )
    if problem := own_certificate_error(settings):
        return (
            f"the client's own certificate was refused: {problem} ({place}). "
            "Have a new one issued, and set 'ssl.certificate.location' and 'ssl.key.location'."
        )
    return (
        f"unknown client certificate: the broker does not trust {place or 'it'}. Use one that is "
        "signed by a CA in the broker's trust store ('ssl.certificate.location', "
        "'ssl.key.location'), and not revoked."
    )


def _mismatch(settings: Mapping[str, Any], listener: Listener) -> str | None:
    """Return how a client's settings differ from what the listener expects."""
    protocol = str(settings.get("security.protocol", "PLAINTEXT")).upper()
    tls, sasl = "SSL" in protocol, protocol.startswith("SASL")
    if listener.mechanisms is not None:
        wanted = ("SASL_" if listener.mechanisms else "") + _transport(listener)
    else:
        wanted = ("SASL_" if sasl else "") + _transport(listener)
    if tls != listener.tls:
        is_what = "plaintext against TLS" if listener.tls else "TLS against plaintext"
        more = " and 'ssl.ca.location' to the CA that signed its certificate" if not tls else ""
        return (
            f"{is_what}: 'security.protocol' is {protocol}, and the listener at "
            f"{listener.address} {'uses' if listener.tls else 'does not use'} TLS. "
            f"Set 'security.protocol' to {wanted}{more}."
        )
    if tls and listener.certificate_error and _is_verified(settings):
        return _broker_certificate(listener)
    if listener.mechanisms is not None and sasl != bool(listener.mechanisms):
        return _sasl_mismatch(protocol, wanted, listener)
    if listener.mechanisms and _mechanism(settings) not in listener.mechanisms:
        return _wrong_mechanism(_mechanism(settings), list(listener.mechanisms))
    return None


def _sasl_mismatch(protocol: str, wanted: str, listener: Listener) -> str:
    where = f"the listener at {listener.address}"
    if not listener.mechanisms:
        return (
            f"SASL where none is expected: 'security.protocol' is {protocol}, and {where} has no "
            f"SASL. Set 'security.protocol' to {wanted}."
        )
    offered = ", ".join(one_line(each, 100) for each in sorted(listener.mechanisms))
    return (
        f"no user and password: {where} expects SASL ({offered}), and 'security.protocol' is "
        f"{protocol}. Set 'security.protocol' to {wanted}, and 'sasl.mechanism', 'sasl.username' "
        "and 'sasl.password'."
    )


def _broker_certificate(listener: Listener) -> str:
    error, at = listener.certificate_error or "", listener.address
    if "expired" in error or "not yet valid" in error:
        return (
            f"the broker's certificate at {at} is not accepted: {error}. "
            "It has to be renewed on the broker; check this machine's clock, too."
        )
    if "mismatch" in error:
        return (
            f"the broker's certificate at {at} is not accepted: {error}. Connect by a name that is "
            "in it ('bootstrap.servers'), or have the name added to it."
        )
    return (
        f"unknown CA: the broker's certificate at {at} is not accepted: {error}. "
        "Set 'ssl.ca.location' to the certificate of the CA that signed it."
    )


def _transport(listener: Listener) -> str:
    return "SSL" if listener.tls else "PLAINTEXT"


def _is_verified(settings: Mapping[str, Any]) -> bool:
    return str(settings.get("enable.ssl.certificate.verification", "true")).lower() != "false"


def _mechanism(settings: Mapping[str, Any]) -> str:
    named = settings.get("sasl.mechanism") or "GSSAPI"
    return one_line(str(named), 100)


def _plain(text: str) -> str:
    return one_line(_NOISE.sub("", text), 500)
