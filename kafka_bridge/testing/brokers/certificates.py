"""Certificates for tests: a CA and the certificates that it signs, made with ``openssl``."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kafka_bridge.testing.brokers.errors import BrokerError, BrokerUnavailable

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two PEM files: the certificate (with its issuer's after it) and its private key."""

    chain: Path
    key: Path

    def key_store(self) -> Path:
        """Return one PEM file with key and chain, as Kafka's ``ssl.keystore.location`` wants it."""
        store = self.chain.with_suffix(".store.pem")
        store.write_text(self.key.read_text() + self.chain.read_text())
        return store


class CertificateAuthority:
    """A CA with its files in one directory.

    Raises BrokerUnavailable where ``openssl`` is not on PATH.
    """

    def __init__(self, directory: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            raise BrokerUnavailable(
                "no 'openssl' on PATH, needed for certificates: apt install openssl"
            )
        self._directory = directory / name
        self._directory.mkdir(parents=True)
        self._key = self._directory / "ca.key"
        self.certificate = self._directory / "ca.pem"
        subject = ["-subj", f"/CN={name}", "-days", "30"]
        output = ["-keyout", str(self._key), "-out", str(self.certificate)]
        _openssl("req", "-x509", *_NEW_KEY, *subject, *output)

    def issue(
        self, common_name: str, *, address: str | None = None, expired: bool = False
    ) -> Certificate:
        """Make a key and sign a certificate for it.

        `common_name`: its subject; `address`: the IP address that it is valid for, of a server;
        `expired`: it ended a day ago.
        """
        stem = self._directory / f"{common_name}{'-expired' if expired else ''}"
        chain, key, request = (stem.with_suffix(end) for end in (".pem", ".key", ".csr"))
        extensions = stem.with_suffix(".ext")
        extensions.write_text(f"subjectAltName=IP:{address}\n" if address else "")
        subject = ["-subj", f"/CN={common_name}", "-keyout", str(key), "-out", str(request)]
        _openssl("req", *_NEW_KEY, *subject)
        signer = ["-CA", str(self.certificate), "-CAkey", str(self._key), "-CAcreateserial"]
        output = ["-days", "-1" if expired else "30", "-out", str(chain)]
        _openssl("x509", "-req", "-in", str(request), *signer, "-extfile", str(extensions), *output)
        chain.write_text(chain.read_text() + self.certificate.read_text())
        return Certificate(chain, key)


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BrokerError(f"openssl {arguments[0]} failed:\n{done.stderr.strip()}")
