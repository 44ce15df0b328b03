"""Certificates of the secured test broker."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kafka_bridge.kafka.handshake import own_certificate_error
from kafka_bridge.testing import BrokerError, BrokerUnavailable
from kafka_bridge.testing.brokers import permissions
from kafka_bridge.testing.brokers.certificates import CertificateAuthority

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl")


def test_without_openssl_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the missing program and how to install it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerUnavailable, match=r"no 'openssl' on PATH.*apt install openssl"):
        CertificateAuthority(tmp_path, "ca")


@needs_openssl
@pytest.mark.parametrize(("expired", "words"), [(False, None), (True, "certificate has expired")])
def test_expired_certificate_is_recognised(
    tmp_path: Path, expired: bool, words: str | None
) -> None:
    """A client's own certificate is checked as a peer that trusts it would check it."""
    issued = CertificateAuthority(tmp_path, "ca").issue("alice", expired=expired)
    settings = {
        "ssl.certificate.location": str(issued.chain),
        "ssl.key.location": str(issued.key),
    }
    assert own_certificate_error(settings) == words


def test_unknown_words_for_permissions_are_refused() -> None:
    """The error for an unknown operation or resource lists the known ones."""
    with pytest.raises(BrokerError, match="unknown resource 'topics': use one of topic, group"):
        permissions.bindings("u", "topics", "t", ["Read"], prefixed=False)
    with pytest.raises(BrokerError, match="unknown operation 'Reed'"):
        permissions.bindings("u", "topic", "t", ["Reed"], prefixed=False)
