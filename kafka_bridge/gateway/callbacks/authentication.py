"""Authenticates callbacks by the token in their URL and by the signature of their body."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from itsdangerous import BadData, URLSafeTimedSerializer

from kafka_bridge.gateway.callbacks.callback_outcome import CallbackOutcome, CallbackRefused
from kafka_bridge.gateway.callbacks.config import CallbackConfig
from kafka_bridge.gateway.http.config import Signature

_SALT = "kafka-bridge.callback"


@dataclass(frozen=True, slots=True)
class CallbackToken:
    """The job of a callback URL."""

    job_id: str
    job_type: str


class CallbackTokens:
    """Makes callback URLs and reads their tokens. A token is valid for one job and a limited time.

    All gateways with the same secret accept each other's tokens. A secret in a file is read again
    each time, because it may be renewed.
    """

    def __init__(self, config: CallbackConfig) -> None:
        self._config = config

    def url(self, job_id: str, job_type: str) -> str:
        """Return the callback URL of a job.

        :raises ValueError: the secret cannot be read
        """
        token = self._serializer().dumps([job_id, job_type])
        return f"{self._config.public_url}/callbacks/{token}"

    def read(self, token: str) -> CallbackToken:
        """Return the content of a token.

        :raises CallbackRefused: the token is forged, damaged or expired
        :raises ValueError: the secret cannot be read
        """
        serializer = self._serializer()
        try:
            # The age is not checked by itsdangerous: it would refuse a token from a gateway whose
            # clock is a second ahead.
            content, signed_at = serializer.loads(token, return_timestamp=True)
        except BadData:
            raise _forged() from None
        if (datetime.now(UTC) - signed_at).total_seconds() > self._config.expires_after:
            raise CallbackRefused(
                CallbackOutcome.EXPIRED,
                f"this callback URL has expired after {self._config.expires_after:g} s",
            )
        match content:
            case [str(job_id), str(job_type)]:
                return CallbackToken(job_id, job_type)
        raise _forged()  # signed by another version

    def _serializer(self) -> URLSafeTimedSerializer:
        secrets = (*reversed(self._config.previous_secrets), self._config.secret)
        return URLSafeTimedSerializer(
            [each.reveal() for each in secrets],  # the last one is used for signing
            salt=_SALT,
            signer_kwargs={"digest_method": hashlib.sha256},
        )


def _forged() -> CallbackRefused:
    return CallbackRefused(
        CallbackOutcome.UNAUTHORIZED, "this is not a callback URL of this gateway"
    )


def check_signature(signature: Signature, headers: Mapping[str, str], body: bytes) -> None:
    """Return if the body is signed with the shared secret.

    :param headers: the headers of the request, which ignore upper and lower case
    :raises CallbackRefused: the signature is missing or wrong
    :raises ValueError: the secret cannot be read
    """
    given = headers.get(signature.header)
    if given is None:
        raise _unsigned(f"the header {signature.header} with the signature of the body is missing")
    expected = hmac.new(signature.secret.reveal().encode(), body, "sha256").hexdigest()
    digits = given.removeprefix(signature.prefix).strip().lower()
    is_prefixed = given.startswith(signature.prefix)
    # As bytes, because compare_digest accepts strings only if they are ASCII.
    if not hmac.compare_digest(digits.encode(), expected.encode()) or not is_prefixed:
        raise _unsigned(
            f"the signature in the header {signature.header} does not match the body: expected "
            f"{signature.prefix!r} and the HMAC-SHA256 of the body in hexadecimal digits"
        )


def _unsigned(why: str) -> CallbackRefused:
    return CallbackRefused(CallbackOutcome.UNAUTHORIZED, why)
